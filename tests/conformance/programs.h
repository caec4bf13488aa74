// The programs as subjects, a group at a time.
#pragma once

#include "conformance/results.h"
#include "conformance/tcp_link.h"

#include <csignal>
#include <string>
#include <vector>

namespace tern::conformance {

/// Flags of echo_server and echo_back for group 9.
inline const std::vector<std::string> bulk_flags = {"--max-message", "16777216", "--max-fragments",
                                                    "131072"};

/// One echo_server for all cases. It must survive all of them and stop properly.
inline void expect_server_results(const std::string& group,
                                  const std::vector<std::string>& flags = {}) {
  test::EchoServer server(flags);
  expect_results("tcp", Role::server, group, [&](const Case&, const Script& script) {
    ServerLink link(server.port());
    return run(script, link);
  });
  server.signal(SIGTERM);
  EXPECT_EQ(server.exit_code(), 0);
  EXPECT_EQ(server.err(), "");
}

/// One echo_back for each case. Its exit code is 0 if it reports a clean end.
inline void expect_client_results(const std::string& group,
                                  const std::vector<std::string>& flags = {}) {
  expect_results("tcp", Role::client, group, [&](const Case&, const Script& script) {
    ClientLink link(flags);
    Observed observed = run(script, link);
    const bool clean = observed.code == 1000 || script.ending.clean;
    EXPECT_EQ(link.exit_code(), clean ? 0 : 1);
    return observed;
  });
}

}  // namespace tern::conformance
