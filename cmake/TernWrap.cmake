# tern_wrap(<target> <call>…): each <call> of the target and of the library goes to __wrap_<call>, which
# the target defines. __real_<call> is the call of the system. So tests can cause faults of the kernel,
# and the library needs no seam for them.
function(tern_wrap target)
  foreach(call IN LISTS ARGN)
    target_link_options(${target} PRIVATE "LINKER:--wrap=${call}")
  endforeach()
endfunction()
