"""What an evaluation says: summary, report, comparison."""
