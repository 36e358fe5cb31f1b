"""Tests that a site writes for its rules: objects in, expectations compared with what the real path makes of them."""

from gateway.rule_tests.result import Failure, FileResult, Result
from gateway.rule_tests.run import RulesUnusable, run

__all__ = ["Failure", "FileResult", "Result", "RulesUnusable", "run"]
