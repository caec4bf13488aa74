// A chat with rooms for people who have logged in. Pages, a login that is answered later,
// WebSockets, health and metrics come from one port.

#include "tern/server.h"

#include "cli.h"

#include <csignal>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>

namespace {

// The names of the people who have logged in, by the tokens of their cookies. Thread: any.
class People {
 public:
  std::string add(const std::string& name) {
    const std::lock_guard lock(mutex_);
    std::string token;
    for (int i = 0; i < 4; ++i) token += std::to_string(random_());
    names_[token] = name;
    return token;
  }
  std::string name_of(const tern::Request& request) {
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(std::string(request.cookie("token")));
    return found == names_.end() ? "" : found->second;
  }

 private:
  std::mutex mutex_{};
  std::random_device random_{};
  std::map<std::string, std::string> names_{};
};

// One person in one room.
class Member {
 public:
  Member(tern::Server& server, std::string room, std::string name)
      : server_(server), room_(std::move(room)), name_(std::move(name)) {}

  void on_open(tern::Connection& conn) {
    conn.subscribe(room_, {.from = tern::From::last(20)});
    say("has come");
  }
  void on_message(tern::Connection&, tern::Message msg) { say(msg.text()); }
  void on_close(tern::Connection&, const tern::CloseInfo&) { say("has left"); }

 private:
  void say(std::string_view text) { server_.publish(room_, name_ + ": " + std::string(text)); }

  tern::Server& server_;
  std::string room_;
  std::string name_;
};

}  // namespace

int main(int argc, char** argv) {
  tern::ServerOptions options{.host = "127.0.0.1", .port = 9003, .stop_on = {SIGINT, SIGTERM}};
  std::string folder = "examples/chat";
  std::string password = "tern";
  CLI::App app("Serves a chat with rooms.", "chat");
  cli::add_listening(app, options.host, options.port);
  app.add_option("--folder", folder, "folder of the page");
  app.add_option("--password", password, "password of all people");
  cli::parse(app, argc, argv);

  sigset_t stops;  // they go to the server, so the other thread must not take them
  sigemptyset(&stops);
  for (const int signal : options.stop_on) sigaddset(&stops, signal);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);

  People people;
  tern::Loop background;  // for work that would block the loops of the server
  std::thread thread([&] { static_cast<void>(background.run()); });
  tern::Server server(options);
  server.topics("room.*", {.history = 20});
  server.post("/login", [&](tern::Exchange exchange) {
    background.post([&, exchange] {  // such as a slow hash, or a question to a database
      const std::string body = "?" + std::string(exchange.request().body());
      const tern::Request form({.target = body});
      if (form.query("name").empty() || form.query("password") != password) {
        return exchange.respond(tern::Response::status(403, "name or password is wrong"));
      }
      exchange.respond(tern::Response::redirect("/", 303).header(
          "Set-Cookie", "token=" + people.add(form.query("name")) + "; HttpOnly; SameSite=Lax"));
    });
  });
  server.route("/rooms/{room}", [&](tern::Upgrade upgrade) {
    const std::string room = "room." + upgrade.request().parameter("room");
    const std::string name = people.name_of(upgrade.request());
    if (name.empty()) return upgrade.respond(tern::Response::status(401));
    if (!tern::is_topic_name(room)) return upgrade.respond(tern::Response::status(404));
    upgrade.accept<Member>({}, std::ref(server), room, name);
  });
  server.get("/me", [&](const tern::Request& request) {
    return tern::Response::text(people.name_of(request)).header("Cache-Control", "no-store");
  });
  server.get("/health", [](const tern::Request&) { return tern::Response::text("fine\n"); });
  server.get("/metrics", [&](const tern::Request&) {
    return tern::Response::body(server.counters().prometheus(), "text/plain; version=0.0.4");
  });
  server.files("/", folder);

  auto ran = server.listen();
  if (ran) {
    std::cout << "chat at " << cli::url_of("http", server.addresses().front(), "/") << std::endl;
    ran = server.run();
  }
  background.stop();
  thread.join();
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
