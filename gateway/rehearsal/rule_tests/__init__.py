"""Tests that a site writes for its rules: objects in, expectations compared with what the real path makes of them."""

from gateway.rehearsal.rule_tests.result import Failure, FileResult, RuleTestResult
from gateway.rehearsal.rule_tests.run import RulesUnusable, run

__all__ = ["Failure", "FileResult", "RuleTestResult", "RulesUnusable", "run"]
