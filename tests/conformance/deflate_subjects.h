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

/// Flags with which echo_server and echo_back compress every message of groups 12 and 13, also
/// those of 16 bytes on a connection without takeover.
inline const std::vector<std::string> compress_all = {"--deflate-min-bytes", "0"};

/// Runs the case with the compression that the link agreed on, and checks that the subject
/// compresses, too. With takeover it compresses each message. Without takeover it compresses only
/// messages that become smaller: some of JSON with 64 bytes, none with 16 bytes.
inline Observed run_compressed(const Case& each, const Script& script, Link& link) {
  if (!link.agreed) {
    ADD_FAILURE() << "no compression was agreed on";
    return {};
  }
  Observed observed = run(compressed(script, each.id, *link.agreed), link);
  if (link.agreed->peer_takeover) {
    EXPECT_EQ(observed.compressed, script.expected.size()) << "messages went out as they are";
  } else if (deflate_size_of(each.id) >= 64) {
    EXPECT_GT(observed.compressed, 0u) << "the compressor did not run";
  }
  return observed;
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
  std::vector<std::string> flags = compress_all;
  flags.push_back("--deflate-takeover");
  test::EchoServer server(flags);
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
    std::vector<std::string> flags = compress_all;
    flags.push_back("--deflate");
    ClientLink link(flags, each.id);
    Observed observed = run_compressed(each, script, link);
    EXPECT_EQ(link.exit_code(), 0);
    return observed;
  });
}

}  // namespace tern::conformance
