"""The five uses that TaskMaster grew from, each a small webhook application that runs."""
