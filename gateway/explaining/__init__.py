"""What the rules would do with an object, and why, without sending anything."""

from gateway.explaining.answer import Answer, Unexplained
from gateway.explaining.explain import explain
from gateway.explaining.subjects import Subject, of_files, of_queue
from gateway.explaining.tally import Tally

__all__ = ["Answer", "Subject", "Tally", "Unexplained", "explain", "of_files", "of_queue"]
