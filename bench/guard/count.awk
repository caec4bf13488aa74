# Reads the client's plan, then what callgrind wrote for each of its connections, in their order.
# Prints a line for each workload: instructions and system calls, for one message.
#
# In callgrind's files "fn=(id) name" begins a function; when it comes again its name is left out.
# Lines of cost follow: place, instructions, system calls. One behind "calls=" is that of the callee.
# A system call belongs to the function of the C library that makes it, and so has its name.

function column_of(call) {
  sub(/^_+/, "", call)
  sub(/@.*/, "", call)
  if (call ~ /^(recv|recvmsg|read|readv)$/) return "recv"
  if (call ~ /^(send|sendmsg|write|writev)$/) return "send"
  if (call ~ /^(epoll_wait|epoll_pwait)$/) return "wait"
  return call == "clock_gettime" ? "clock" : "other"
}

# For one message; never "-0.0000".
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
