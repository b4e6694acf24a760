"""Gradients of outputs that are more than a plain tensor with a node of its own."""

import pytest
import torch

from gradlab.probe.catcher import Catcher, Switch


@pytest.fixture
def caught():
    found = []
    return Catcher(found.append, Switch(on=True)), found


def test_each_output_of_one_node_has_its_own_gradient(caught):
    catcher, found = caught
    first, second, third = torch.ones(3, 2, requires_grad=True).mul(2).unbind()
    catcher.catch(second)
    (first.sum() + 5 * second.sum() + third.sum()).backward()
    assert [grad.tolist() for grad in found] == [[5, 5]]


def test_an_output_that_the_loss_does_not_see_has_none(caught):
    catcher, found = caught
    first, second = torch.ones(2, 2, requires_grad=True).mul(2).unbind()
    catcher.catch(second)
    first.sum().backward()
    assert not any(grad.any() for grad in found)


def test_a_leaf_has_no_node_and_a_constant_no_gradient(caught):
    catcher, found = caught
    leaf = torch.ones(2, requires_grad=True)
    catcher.catch(leaf)
    catcher.catch(torch.ones(2))
    (3 * leaf).sum().backward()
    assert [grad.tolist() for grad in found] == [[3, 3]]


def test_a_tensor_that_is_written_over_afterwards_keeps_its_gradient(caught):
    catcher, found = caught
    z = torch.tensor([-1.0, 2.0], requires_grad=True).mul(1)
    catcher.catch(z)
    (4 * z.relu_()).sum().backward()
    assert [grad.tolist() for grad in found] == [[0, 4]]


def test_passes_one_after_the_other_are_added(caught):
    catcher, found = caught
    z = torch.ones(2, requires_grad=True).mul(1)
    catcher.catch(z)
    z.sum().backward(retain_graph=True)
    (2 * z.sum()).backward(retain_graph=True)
    assert not found
    catcher.finish()
    assert [grad.tolist() for grad in found] == [[3, 3]]
