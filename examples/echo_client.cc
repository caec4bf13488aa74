// Sends the time each second and prints each message received, until Ctrl-C closes the connection.

#include "tern/dial.h"

#include "cli.h"

#include <csignal>
#include <ctime>
#include <iostream>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;

// Waits for that time. True as soon as Ctrl-C comes. SIGINT must be blocked in every thread.
bool interrupted_within(std::chrono::seconds time) {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  const timespec left{.tv_sec = time.count(), .tv_nsec = 0};
  return sigtimedwait(&interrupt, nullptr, &left) == SIGINT;
}

void block_interrupts() {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);  // threads that start later inherit it
}

std::string now_as_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &local)};
}

// `address` is host:port or a URL. If it has a path, `path` is ignored. `path` may lack its slash.
std::string url_of(const std::string& address, const std::string& path) {
  // Behind the first slash or question mark "://" is a part of the path or the query.
  const std::size_t name = address.substr(0, address.find_first_of("/?")).size();
  const bool has_scheme = name > 0 && address.find("://") + 1 == name;
  const std::string url = has_scheme ? address : "ws://" + address;
  if (url.find_first_of("/?", url.find("://") + 3) != url.npos) return url;
  return url + (path.starts_with('/') ? "" : "/") + path;
}

// Prints one line at once, because the output may be a pipe. One call prints the whole line,
// because two threads print.
void print(const std::string& line) { std::cout << line + '\n' << std::flush; }

}  // namespace

int main(int argc, char** argv) {
  std::string address = "localhost:9001";
  std::string path = "/echo";
  CLI::App app("Sends the time each second to a WebSocket echo server.", "echo_client");
  app.option_defaults()->always_capture_default();
  std::string whole;
  tern::DialOptions options;
  CLI::Option* by_address = app.add_option("--addr", address, "host:port of the server, or its URL")
                                ->check(cli::not_empty());
  app.add_option("--path", path, "path and query, if the URL has none");
  app.add_option("URL", whole, "ws://host:port/path, instead of --addr and --path")
      ->check(cli::not_empty())
      ->excludes(by_address);
  cli::add_trust(app, options.tls);
  cli::add_way(app, options);
  bool deflate = false;
  app.add_flag("--deflate", deflate, "offer compression (permessage-deflate)");
  cli::parse(app, argc, argv);

  const std::string url = url_of(whole.empty() ? address : whole, path);
  print("connecting to " + url);
  options.proxy.tls(options.tls);  // an https:// proxy is trusted as the server is
  if (deflate) options.deflate = tern::Deflate{.min_bytes = 0};
  auto dialed = tern::dial(url, options);
  if (!dialed) return std::cerr << "dial: " << dialed.error().message() << '\n', 1;
  tern::BlockingClient& client = *dialed;
  block_interrupts();

  std::jthread reader([&] {
    std::string text;
    auto received = client.receive(text);
    for (; received; received = client.receive(text)) print("recv: " + text);
    print("read: " + received.error().message());
  });
  while (client.send(now_as_text())) {
    if (!interrupted_within(1s)) continue;
    print("interrupt");
    client.close(tern::CloseCode::normal, "", 1s);
    return 0;  // ~jthread joins the reader; close() has ended its receive()
  }
  reader.join();
  return client.close() ? 0 : 1;
}
