"""Gradients caught at outputs of special kinds: several of one node, leaves, constants, modified in place."""

import pytest
import torch

from gradlab.probe.catcher import Catcher, Switch


@pytest.fixture
def caught():
    grads = []
    return Catcher(grads.append, Switch(on=True)), grads


def test_each_output_of_one_node_has_its_own_gradient(caught):
    catcher, grads = caught
    first, second, third = torch.ones(3, 2, requires_grad=True).mul(2).unbind()
    catcher.catch(second)
    (first.sum() + 5 * second.sum() + third.sum()).backward()
    assert [grad.tolist() for grad in grads] == [[5, 5]]


def test_an_output_that_the_loss_does_not_depend_on_has_no_gradient(caught):
    catcher, grads = caught
    first, second = torch.ones(2, 2, requires_grad=True).mul(2).unbind()
    catcher.catch(second)
    first.sum().backward()
    assert not any(grad.any() for grad in grads)


def test_a_leaf_has_no_node_and_a_constant_no_gradient(caught):
    catcher, grads = caught
    leaf = torch.ones(2, requires_grad=True)
    catcher.catch(leaf)
    catcher.catch(torch.ones(2))
    (3 * leaf).sum().backward()
    assert [grad.tolist() for grad in grads] == [[3, 3]]


def test_a_tensor_modified_in_place_afterwards_keeps_its_gradient(caught):
    catcher, grads = caught
    z = torch.tensor([-1.0, 2.0], requires_grad=True).mul(1)
    catcher.catch(z)
    (4 * z.relu_()).sum().backward()
    assert [grad.tolist() for grad in grads] == [[0, 4]]


def test_gradients_of_successive_backward_passes_are_added(caught):
    catcher, grads = caught
    z = torch.ones(2, requires_grad=True).mul(1)
    catcher.catch(z)
    z.sum().backward(retain_graph=True)
    (2 * z.sum()).backward(retain_graph=True)
    assert not grads
    catcher.finish()
    assert [grad.tolist() for grad in grads] == [[3, 3]]
