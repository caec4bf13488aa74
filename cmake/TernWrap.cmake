# tern_wrap(<target> <call>…): each <call> of the target, the library's included, goes to
# __wrap_<call>, which the target defines; __real_<call> is the system's. So tests provoke faults of
# the kernel while the library has no seam for them.
function(tern_wrap target)
  foreach(call IN LISTS ARGN)
    target_link_options(${target} PRIVATE "LINKER:--wrap=${call}")
  endforeach()
endfunction()
