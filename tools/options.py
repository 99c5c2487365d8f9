def count_commands():
    return 0


def count_options():
    return 0
