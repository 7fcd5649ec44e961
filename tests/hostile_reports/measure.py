"""Runs a command, and says what it took: measure.py RESULT COMMAND...

Into RESULT goes one line: exit status (negative: the signal), KiB at its peak, milliseconds of
processor time.
"""

import os
import subprocess
import sys

process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
with open(sys.argv[1], "w", encoding="ascii") as result:
    cpu = round((used.ru_utime + used.ru_stime) * 1000)
    print(os.waitstatus_to_exitcode(status), used.ru_maxrss, cpu, file=result)
