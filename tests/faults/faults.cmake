# The rows of the fault matrix, one program a row. See support/syscalls.h and support/aftermath.h.
set(here ${CMAKE_CURRENT_SOURCE_DIR}/faults)
set(wrapped
  RAND_bytes accept4 bind close connect epoll_create1 epoll_ctl epoll_wait eventfd getaddrinfo
  getpeername getsockname getsockopt listen ppoll read readv recv send sendmsg setsockopt shutdown
  signalfd socket write
  malloc calloc realloc aligned_alloc free)

add_library(tern_faults_support OBJECT ${here}/support/syscalls.cc ${here}/support/heap.cc)
target_compile_features(tern_faults_support PRIVATE cxx_std_20)
target_compile_options(tern_faults_support PRIVATE ${test_options})
target_include_directories(tern_faults_support PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
tern_own_code(tern_faults_support)

file(GLOB sources CONFIGURE_DEPENDS ${here}/*_test.cc)
foreach(source IN LISTS sources)
  get_filename_component(name ${source} NAME_WE)
  if(TERN_SANITIZE AND name STREQUAL "x03_no_memory_test")
    continue()   # it replaces malloc
  endif()
  string(REGEX REPLACE "_test$" "" prefix ${name})
  set(test_timeout 300)
  tern_test(${source} faults TEST_FILTER "-FaultsLong*")
  target_link_libraries(${name} PRIVATE tern_faults_support)
  tern_wrap(${name} ${wrapped})
  if(TARGET programs)
    add_dependencies(${name} programs)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
      TEST_PREFIX "${prefix}."
    TEST_FILTER "FaultsLong*" PROPERTIES LABELS long TIMEOUT 1800)
endforeach()

# The soak: scripts/soak.sh runs it for long; here it only shows that it works.
add_executable(soak ${here}/soak.cc)
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
if(TARGET programs)
  add_dependencies(soak programs)
endif()
add_test(NAME soak.short COMMAND soak)
set_tests_properties(soak.short PROPERTIES
  LABELS faults TIMEOUT ${test_timeout} ENVIRONMENT SOAK_MINUTES=0.1)

# What the archive refers to is read from itself.
target_compile_definitions(x25_clock_test PRIVATE TERN_ARCHIVE="$<TARGET_FILE:tern>")
