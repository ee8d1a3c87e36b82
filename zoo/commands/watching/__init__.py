"""What `zoo watch` gives out: pictures to a window, a file or a page, and alarms."""
