# Reads the committed figures, then the new ones. Prints both and lists the figures that differ too much.
# With -v comparable=0 it compares only system calls, because another compiler gives other instructions.

BEGIN {
  most_percent = 3
  most_calls = 0.01
  most_upgrade_clock = 0.35  # a server reads the time of day at most every 100 ms
  split("- - recv send wait other clock", call)
  printf "%-15s %12s %10s %9s %8s %8s %8s %8s %8s\n", "", "instructions", "committed",
    "differs", "recv", "send", "wait", "other", "clock"
}

/^#/ || NF != 7 { next }

FNR == NR {
  figures[$1] = $0
  next
}

{
  if (!($1 in figures)) {
    complaints[++count] = $1 " is not among the figures"
    figures[$1] = $0
  }
  split(figures[$1], committed)
  seen[$1] = 1
  percent = 100 * ($2 / committed[2] - 1)
  difference = comparable ? sprintf("%+.2f %%", percent) : "-"
  printf "%-15s %12.1f %10.1f %9s %8.4f %8.4f %8.4f %8.4f %8.4f\n", $1, $2, committed[2],
    difference, $3, $4, $5, $6, $7
  if (comparable && percent > most_percent) {
    complaints[++count] = sprintf("%s: %.1f %% more instructions", $1, percent)
  }
  if (comparable && percent < -most_percent) {
    complaints[++count] = sprintf("%s: %.1f %% fewer instructions: renew the figures", $1, -percent)
  }
  for (i = 3; i <= 7; ++i) {
    most = call[i] == "clock" && $1 == "upgrade" ? most_upgrade_clock : most_calls
    if ($i - committed[i] <= most && committed[i] - $i <= most) continue
    complaints[++count] = sprintf("%s: %s %.4f a message, committed %.4f", $1, call[i], $i,
                                  committed[i])
  }
}

END {
  for (row in figures) {
    if (!(row in seen)) complaints[++count] = row " is among the figures, but was not counted"
  }
  for (i = 1; i <= count; ++i) print "FAILED " complaints[i]
  exit count > 0
}
