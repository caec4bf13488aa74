# Reads the client's plan, then callgrind's file for each of its connections, in their order. Prints a
# line for each workload: instructions and system calls for one message.
#
# In callgrind's files "fn=(id) name" begins a function; later occurrences have no name. Lines of cost
# follow: place, instructions, system calls. The line after "calls=" is the cost of the callee, so the
# script skips it. A system call counts for the function of the C library that makes it, so the name of
# that function is the name of the call.

function column_of(call) {
  sub(/^_+/, "", call)
  sub(/@.*/, "", call)
  if (call ~ /^(recv|recvmsg|read|readv)$/) return "recv"
  if (call ~ /^(send|sendmsg|write|writev)$/) return "send"
  if (call ~ /^(epoll_wait|epoll_pwait)$/) return "wait"
  return call == "clock_gettime" ? "clock" : "other"
}

# The sum divided by the messages of the row; never "-0.0000".
function each(sum) {
  sum /= total[row]
  return sum > -0.00005 && sum < 0 ? 0 : sum
}

FILENAME ~ /plan$/ {
  workload[FNR] = $1
  messages[FNR] = $2
  next
}

FNR == 1 {
  ++connection
  row = workload[connection]
  sign = messages[connection] < 0 ? -1 : messages[connection] > 0
  if (!(row in total)) rows[++row_count] = row
  total[row] += messages[connection]
  split("", name)
}

/^c?fn=/ {
  id = $1
  sub(/.*=/, "", id)
  if (NF > 1) name[id] = $2
  if (/^fn=/) current = id
  next
}

/^calls=/ {
  getline
  next
}

/^[-+*0-9]/ {
  instructions[row] += sign * $2
  if ($3) calls[row, column_of(name[current])] += sign * $3
}

END {
  for (i = 1; i <= row_count; ++i) {
    row = rows[i]
    printf "%-15s %12.1f %8.4f %8.4f %8.4f %8.4f %8.4f\n", row, each(instructions[row]),
      each(calls[row, "recv"]), each(calls[row, "send"]), each(calls[row, "wait"]),
      each(calls[row, "other"]), each(calls[row, "clock"])
  }
}
