"""Models and the parts they are built from: plain ``torch.nn.Module`` classes and functions, independent of configs.

Models: `mlp.MLP`, `mlp.LinearModel`, `bounded.BoundedLinear`, `cnn.CNN`, `rnn.rnn`, `rnn.lstm`, `rnn.gru`, and
`own.custom` and `own.torchvision` for networks from elsewhere. Parts: `activations` (`Erf`), `initializers` (one
function per rule) and `lsuv.LSUV`, `normalization`, `residual`; `layers` has their protocols `Initializer`,
`Normalization` and `Residual`. Import from the modules: this package imports none of them, so it loads without torch.
"""
