// Groups 12 and 13 against the engine and the programs, a group at a time.
#pragma once

#include "conformance/cases.h"
#include "conformance/engine_link.h"
#include "conformance/negotiation.h"
#include "conformance/programs.h"

#include <csignal>
#include <string>
#include <vector>

namespace tern::conformance {

/// Runs the case compressed, as the link agreed.
inline Observed run_compressed(const Case& each, const Script& script, Link& link) {
  if (!link.agreed) {
    ADD_FAILURE() << "no compression was agreed on";
    return {};
  }
  return run(compressed(script, each.id, *link.agreed), link);
}

inline void expect_engine_deflate(Role role, const std::string& group) {
  expect_results("engine", role, group, [&](const Case& each, const Script& script) {
    EngineOptions options = bulk_options();
    options.deflate = Deflate{.takeover = true, .peer_takeover = true, .min_bytes = 0};
    EngineLink link(role, options, each.id);
    return run_compressed(each, script, link);
  });
}

inline void expect_server_deflate(const std::string& group) {
  test::EchoServer server({"--deflate-takeover"});
  expect_results("tcp", Role::server, group, [&](const Case& each, const Script& script) {
    ServerLink link(server.port(), each.id);
    return run_compressed(each, script, link);
  });
  server.signal(SIGTERM);
  EXPECT_EQ(server.exit_code(), 0);
  EXPECT_EQ(server.err(), "");
}

inline void expect_client_deflate(const std::string& group) {
  expect_results("tcp", Role::client, group, [&](const Case& each, const Script& script) {
    ClientLink link({"--deflate"}, each.id);
    Observed observed = run_compressed(each, script, link);
    EXPECT_EQ(link.exit_code(), 0);
    return observed;
  });
}

}  // namespace tern::conformance
