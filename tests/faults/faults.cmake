# The rows of the fault matrix, one program a row. See support/syscalls.h and support/aftermath.h.
# Under a sanitizer they are built only when asked for: the target sanitized_faults.
set(here ${CMAKE_CURRENT_SOURCE_DIR}/faults)
set(wrapped
  RAND_bytes accept4 bind close connect epoll_create1 epoll_ctl epoll_wait eventfd getaddrinfo
  getpeername getsockname getsockopt listen ppoll read readv recv send sendmsg setsockopt shutdown
  signalfd socket write
  malloc calloc realloc aligned_alloc free)

if(TERN_SANITIZE)
  set(on_demand EXCLUDE_FROM_ALL)
  add_custom_target(sanitized_faults)
else()
  set(on_demand "")
endif()

add_library(tern_faults_support OBJECT ${on_demand} ${here}/support/syscalls.cc ${here}/support/heap.cc)
target_compile_features(tern_faults_support PRIVATE cxx_std_20)
target_compile_options(tern_faults_support PRIVATE ${test_options})
target_include_directories(tern_faults_support PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
tern_own_code(tern_faults_support)

set(whole_programs "")   # many rows count what a process has
file(GLOB sources CONFIGURE_DEPENDS ${here}/*_test.cc)
foreach(source IN LISTS sources)
  get_filename_component(name ${source} NAME_WE)
  if(TERN_SANITIZE AND name MATCHES "^x03_")
    continue()   # they replace malloc
  endif()
  if(TERN_SANITIZE MATCHES "undefined" AND name STREQUAL "x01_descriptors_test")
    continue()   # UBSan looks at objects through a pipe, and there is no descriptor for it
  endif()
  if(TERN_SANITIZE MATCHES "thread" AND name MATCHES "^(global_state|faults_support)_test$")
    continue()   # that sanitizer starts a thread, and its operator new cannot be counted
  endif()
  string(REGEX REPLACE "_test$" "" prefix ${name})
  set(test_timeout 300)
  set(label faults)
  if(TERN_SANITIZE MATCHES "thread" AND name STREQUAL "x28_cross_thread_test")
    set(label socket)   # what the thread sanitizer is for: part of every check
  endif()
  tern_test(${source} ${label} TEST_FILTER "-FaultsLong*")
  target_link_libraries(${name} PRIVATE tern_faults_support)
  tern_wrap(${name} ${wrapped})
  if(TARGET programs)
    add_dependencies(${name} programs)
  endif()
  if(TERN_SANITIZE AND label STREQUAL "faults")
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    add_dependencies(sanitized_faults ${name})
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
    TEST_PREFIX "${prefix}."
    TEST_FILTER "FaultsLong*" PROPERTIES LABELS long TIMEOUT 1800)
endforeach()

# The soak: scripts/soak.sh runs it for long; here it only shows that it works.
add_executable(soak ${on_demand} ${here}/soak.cc)
target_link_libraries(soak PRIVATE tern::tern GTest::gtest_main Threads::Threads OpenSSL::Crypto
  tern_faults_support)
tern_wrap(soak ${wrapped})
target_include_directories(soak PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(soak PRIVATE ${tree_definitions})
target_precompile_headers(soak REUSE_FROM tern_gtest_header)
target_compile_options(soak PRIVATE ${test_options})
set_target_properties(soak PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
tern_own_code(soak)
add_dependencies(tern_tests soak)
if(TERN_SANITIZE)
  add_dependencies(sanitized_faults soak)
endif()
if(TARGET programs)
  add_dependencies(soak programs)
endif()
add_test(NAME soak.short COMMAND soak)
set_tests_properties(soak.short PROPERTIES
  LABELS faults TIMEOUT ${test_timeout} ENVIRONMENT SOAK_MINUTES=0.1)

# The test reads the undefined symbols of the library from its archive.
target_compile_definitions(x25_clock_test PRIVATE TERN_ARCHIVE="$<TARGET_FILE:tern>")
