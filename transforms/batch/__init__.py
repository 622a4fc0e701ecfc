"""What all stages share: people in columns, isolation of failures, models, clock."""
