# Configures tern as on a machine without the client libraries of brokers: it works, and names the packages.
file(REMOVE_RECURSE ${WORK})
execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${TERN_SOURCE} -B ${WORK} -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX}
    -DCMAKE_DISABLE_FIND_PACKAGE_TernNats=ON -DCMAKE_DISABLE_FIND_PACKAGE_TernRedis=ON
  OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "it does not configure:\n${output}${errors}")
endif()
foreach(words "tern::nats is not built, because this is missing: libnats (package libnats-dev)"
              "tern::redis is not built, because this is missing: hiredis (package libhiredis-dev)")
  string(FIND "${output}" "${words}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "it does not say \"${words}\":\n${output}")
  endif()
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK} --target help OUTPUT_VARIABLE targets)
if(targets MATCHES "tern_(nats|redis)")
  message(FATAL_ERROR "a bridge is built without its client library")
endif()
