// An echo server on uWebSockets, for the comparison with tern's. It follows the library's own
// examples and is built with the flags of its makefile: one thread, no idle timeout, limits that do
// not apply. On /fanout a message goes to all other connections, by a topic. /1k and /64k are
// pages. No package contains the library, so this program is built from a checkout if one is named
// (CMakeLists.txt).
#include "options.h"

#include <App.h>
#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace {

struct NoData {};

template <bool Tls>
int serve(const peers::Options& options, const uWS::SocketContextOptions& context) {
  using Socket = uWS::WebSocket<Tls, true, NoData>;
  const bool deflate = options.deflate_level > 0;
  bool listens = false;
  const auto behavior = [&] {
    return typename uWS::TemplatedApp<Tls>::template WebSocketBehavior<NoData>{
        // Shared: without context takeover, like all servers here.
        .compression = deflate
                           ? uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR)
                           : uWS::DISABLED,
        .maxPayloadLength = static_cast<unsigned>(options.max_message),
        .idleTimeout = 0,
        .maxBackpressure = 1U << 30,
        .resetIdleTimeoutOnSend = false,
        .sendPingsAutomatically = false,
    };
  };
  auto echo = behavior();
  echo.message = [deflate](Socket* socket, std::string_view message, uWS::OpCode code) {
    socket->send(message, code, deflate);
  };
  auto fanout = behavior();
  fanout.open = [](Socket* socket) { socket->subscribe("all"); };
  fanout.message = [deflate](Socket* socket, std::string_view message, uWS::OpCode code) {
    socket->publish("all", message, code, deflate);
  };
  uWS::TemplatedApp<Tls> app(context);
  const auto add_page = [&app](const char* path, std::size_t size) {
    app.get(path, [page = std::string(size, 'p')](auto* response, auto*) {
      response->writeHeader("Content-Type", "text/html")->end(page);
    });
  };
  constexpr std::size_t kib = 1024;
  add_page("/1k", kib);
  add_page("/64k", 64 * kib);
  app.template ws<NoData>("/fanout", std::move(fanout));
  app.template ws<NoData>("/*", std::move(echo));
  app.listen("127.0.0.1", options.port, [&listens](us_listen_socket_t* socket) {
    if (socket == nullptr) return;
    listens = true;
    const int port =
        us_socket_local_port(Tls ? 1 : 0, reinterpret_cast<us_socket_t*>(socket));  // NOLINT
    std::printf("listening on ws%s://127.0.0.1:%d/echo (uWebSockets)\n", Tls ? "s" : "", port);
    std::fflush(stdout);
  });
  if (!listens) {
    std::fprintf(stderr, "uwebsockets_echo: cannot listen on port %d\n", options.port);
    return 1;
  }
  app.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  peers::Options options;
  CLI::App app("WebSocket echo on any path, on uWebSockets.", "uwebsockets_echo");
  peers::add_options(app, options);
  peers::add_deflate_level(app, options);
  CLI11_PARSE(app, argc, argv);
  uWS::SocketContextOptions context;
  if (options.certificate.empty()) return serve<false>(options, context);
  context.cert_file_name = options.certificate.c_str();
  context.key_file_name = options.key.c_str();
  return serve<true>(options, context);
}
