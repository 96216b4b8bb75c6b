"""What programs and callbacks write down and read back: results, environment, run files, pages, comparison."""
