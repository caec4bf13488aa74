// Links a server, because a server needs every part of tern. It is stopped before it runs, so run()
// returns at once.
#include <iostream>
#include <tern/tern.h>

int main() {
  tern::Server server({.host = "127.0.0.1", .port = 0});
  server.route("/echo",
               tern::Handlers{
                   .on_message = [](tern::Connection& conn, tern::Message msg) { conn.send(msg); },
               });
  server.stop();
  if (auto ran = server.run(); !ran) {
    std::cerr << ran.error().message() << '\n';
    return 1;
  }
}
