// Checks that the outcome of HTTP CONNECT does not depend on how the proxy's answer is cut, that no
// byte behind the end of the handshake is taken, and that a refusal keeps at most 1 KiB of its
// body. Input: one byte of flags, then the proxy's answer.
//
// Subject: src/client/http_connect.cc
#include "client/http_connect.h"
#include "support/proxy_outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tern::fuzz::require;
  if (size == 0) return 0;
  tern::client::ProxyServer proxy{.host = "192.0.2.1", .port = 3128};
  if ((data[0] & 1) != 0) proxy.credentials = {"name", "password"};
  const bool ends = (data[0] & 2) != 0;
  tern::Limits limits;
  if ((data[0] & 4) != 0) limits.max_head_bytes = 256;
  const std::string agent = (data[0] & 8) != 0 ? "not\nallowed" : "agent";
  const std::string_view answer(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto run = [&](std::size_t piece) {
    tern::client::HttpConnect connect(proxy, "example.com", 443, agent, limits);
    return tern::fuzz::run_handshake(connect, answer, piece, ends);
  };
  const auto whole = run(answer.size());
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 64u}) require(run(piece) == whole);
  require(whole.body.size() <= 1024);
  return 0;
}
