// Checks that the outcome of SOCKS5 and what the client sends do not depend on how the proxy's
// answers are cut. Input: one byte of flags, the name of the host as a length and its bytes, then
// the proxy's answers.
//
// Subject: src/client/socks5.cc
#include "client/socks5.h"
#include "support/input.h"
#include "support/proxy_outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tern::fuzz::Input input(data, size);
  const unsigned flags = input.take();
  const std::string host = input.take_bytes();
  std::string answer;
  while (!input.empty()) answer += static_cast<char>(input.take());
  tern::client::ProxyServer proxy{.host = "192.0.2.1", .port = 1080};
  if ((flags & 1) != 0) proxy.credentials = {"name", "password"};
  if ((flags & 4) != 0) proxy.credentials = {std::string(256, 'n'), "password"};
  const auto run = [&](std::size_t piece) {
    tern::client::Socks5 socks(proxy, host, 443);
    return tern::fuzz::run_handshake(socks, answer, piece, (flags & 2) != 0);
  };
  const auto whole = run(answer.size());
  for (const std::size_t piece : {1u, 2u, 3u, 7u}) tern::fuzz::require(run(piece) == whole);
  return 0;
}
