// wss:// in one program: a server with a certificate, and a client that trusts it. To run it:
//
//   scripts/make_certificate.sh            # cert.pem and key.pem, for localhost
//   build/bin/tls cert.pem key.pem

#include "tern/tern.h"

#include <iostream>
#include <string>
#include <thread>

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: tls CERTIFICATE KEY\n", 2;
  tern::Server server({
      .host = "127.0.0.1",
      .tls = tern::TlsServer{.certificate = argv[1], .private_key = argv[2]},
  });
  server.route("/echo",
               tern::Handlers{
                   .on_message = [](tern::Connection& conn, tern::Message msg) { conn.send(msg); },
               });
  if (auto listening = server.listen(); !listening) {  // finds a key that does not fit
    return std::cerr << listening.error().message() << '\n', 1;
  }
  const std::jthread thread([&] {
    if (auto ran = server.run(); !ran) std::cerr << ran.error().message() << '\n';
  });

  int result = 1;
  const std::string url = "wss://localhost:" + std::to_string(server.port()) + "/echo";
  // The system does not trust this certificate: without ca_file, dial() fails and the error names
  // the reason.
  if (auto dialed = tern::dial(url, {.tls = {.ca_file = argv[1]}}); !dialed) {
    std::cerr << dialed.error().message() << '\n';
  } else if (std::string text; dialed->send("Hello, tern") && dialed->receive(text)) {
    std::cout << "recv: " << text << '\n';
    result = dialed->close() ? 0 : 1;
  }
  // A renewed certificate needs no restart. If it is faulty, the old one stays in use.
  if (auto reloaded = server.reload_certificates(); !reloaded) {
    std::cerr << reloaded.error().message() << '\n';
  }
  server.stop();
  return result;  // ~jthread waits for run()
}
