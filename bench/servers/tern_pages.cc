// A server for `tern-bench pages`: pages of 1 KiB and of 64 KiB, and the files of
// the folder in its argument.
#include "tern/tern.h"

#include <csignal>
#include <cstddef>
#include <iostream>
#include <memory>
#include <string>

namespace {

void add_page(tern::Server& server, const std::string& path, std::size_t bytes) {
  const auto body = std::make_shared<const std::string>(bytes, 'p');
  server.get(path,
             [body](const tern::Request&) { return tern::Response::shared(body, "text/html"); });
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t kib = 1024;
  tern::Server server({.host = "127.0.0.1", .stop_on = {SIGINT, SIGTERM}});
  add_page(server, "/1k", kib);
  add_page(server, "/64k", 64 * kib);
  if (argc > 1) server.files("/files", argv[1]);
  auto ran = server.listen();
  if (ran) {
    std::cout << "listening on http://127.0.0.1:" << server.port() << std::endl;
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
