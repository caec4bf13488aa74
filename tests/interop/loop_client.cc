// A client on a loop, for the interop checks. It prints one line for each event:
//
//   open 1                       the first session; each further one has the next number
//   recv: hello                  a message (not with --echo)
//   closed 1 after 1 messages    the session received its on_close
//   ended stage=open status=0 code=1001 failures=0 transient=1 retry_after=- wait=0.100 why=...
//
// Ctrl-C stops it. The exit code is 0 if the last end was a clean close or Ctrl-C.

#include "tern/client.h"

#include "../../examples/cli.h"

#include <csignal>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

namespace {

using namespace std::chrono_literals;

// The state that all sessions share.
struct Plan {
  bool echo = false;  // send each message back; otherwise send one and print the messages
  int sessions = 0;
};

// Prints a line at once, because the output is a pipe.
void print(const std::string& line) { std::cout << line << std::endl; }

class Session {
 public:
  explicit Session(Plan& plan) : plan_(plan), number_(std::to_string(++plan.sessions)) {}

  void on_open(tern::Connection& conn) {
    print("open " + number_);
    if (!plan_.echo) conn.send("hello");
  }
  void on_message(tern::Connection& conn, tern::Message message) {
    ++messages_;
    if (plan_.echo) {
      conn.send(message);
    } else {
      print("recv: " + std::string(message.text()));
    }
  }
  void on_close(tern::Connection&, const tern::CloseInfo&) {
    print("closed " + number_ + " after " + std::to_string(messages_) + " messages");
  }

 private:
  Plan& plan_;
  std::string number_;
  int messages_ = 0;
};

// "1.250", or "-" if there is no time.
std::string in_seconds(const std::optional<std::chrono::nanoseconds>& time) {
  if (!time) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(*time).count());
  return text;
}

std::string line_of(const tern::Ended& ended) {
  std::string why;
  if (ended.failure != nullptr) {
    why = ended.failure->message();
  } else if (ended.close->error) {
    why = ended.close->error.message();
  }
  const int status = ended.failure != nullptr ? ended.failure->http_status() : 0;
  const int code = ended.close != nullptr ? static_cast<int>(ended.close->code) : 0;
  return "ended stage=" + std::string(tern::stage_name(ended.stage)) +
         " status=" + std::to_string(status) + " code=" + std::to_string(code) +
         " failures=" + std::to_string(ended.failures) +
         " transient=" + (ended.transient ? "1" : "0") +
         " retry_after=" + in_seconds(ended.retry_after) + " wait=" + in_seconds(ended.wait) +
         " why=" + why;
}

}  // namespace

int main(int argc, char** argv) {
  std::string url;
  Plan plan;
  tern::ClientOptions options;
  tern::DialOptions& dial = options.dial;
  CLI::App app("A client on a loop that prints each event.", "loop_client");
  app.option_defaults()->always_capture_default();
  app.add_option("URL", url, "ws://host:port/path")->check(cli::not_empty())->required();
  app.add_flag("--echo", plan.echo, "send each message back until the server closes");
  bool retry = false;
  app.add_flag("--retry", retry, "connect again after 100 to 200 ms");
  app.add_option("--attempts", options.retry.attempts, "failures in a row after which it stops");
  cli::add_seconds(app, "--silence", dial.timeouts.silence, "time without a byte before a ping");
  cli::add_seconds(app, "--pong", dial.timeouts.pong, "time from a ping to any byte");
  bool deflate = false;
  app.add_flag("--deflate", deflate, "offer compression (permessage-deflate)");
  cli::add_trust(app, dial.tls);
  cli::add_way(app, dial);
  cli::parse(app, argc, argv);

  dial.proxy.tls(dial.tls);  // an https:// proxy is trusted as the server is
  if (deflate) dial.deflate = tern::Deflate{.takeover = true, .peer_takeover = true};
  options.retry.first = options.retry.first_after_end = options.retry.most = 200ms;
  if (!retry) options.retry.again = [](const tern::Ended&) { return false; };

  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);  // the loop takes the signal
  tern::Loop loop;
  options.on_ended = [&](const tern::Ended& ended) {
    print(line_of(ended));
    if (!ended.wait) loop.stop();
  };
  tern::Client client(loop, url, std::move(options));
  loop.on_signal(SIGINT, [&](int) { client.stop(); }).value();
  auto begun = client.connect<Session>(std::ref(plan));
  if (begun) begun = loop.run();
  if (!begun) return std::cerr << begun.error().message() << '\n', 1;
  return client.error() ? 1 : 0;
}
