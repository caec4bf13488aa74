// A server for `tern-bench pages` and the rows of `tern-bench fairness` with HTTP: pages of 1 KiB
// and of 64 KiB, the files of the folder in its argument, a page that takes bodies, a stream
// without end, and an echo.
#include "tern/tern.h"

#include <csignal>
#include <cstddef>
#include <iostream>
#include <memory>
#include <optional>
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
  server.post("/body", [](const tern::Request& request) {
    return tern::Response::text(std::to_string(request.body().size()));
  });
  server.get("/stream", [](const tern::Request&) {
    return tern::Response::stream("text/plain", [] { return std::optional<std::string>("x"); });
  });
  server.route("/echo", tern::Handlers{.on_message = [](tern::Connection& conn, tern::Message msg) {
                 conn.send(msg);
               }});
  auto ran = server.listen();
  if (ran) {
    std::cout << "listening on http://127.0.0.1:" << server.port() << std::endl;
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
