"""What each rule, limit, lever and weight removes and costs."""
