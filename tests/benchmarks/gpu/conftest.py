"""The fixture `machine`: a GPU, or stand-ins for two of them where there is none."""

from standin.fixtures import machine as machine
from standin.fixtures import pytest_generate_tests as pytest_generate_tests
