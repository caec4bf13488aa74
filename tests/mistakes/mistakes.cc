// Mistakes in the use of tern that the compiler must find. With MISTAKES defined, the compiler
// must report each line that ends in "// refused", and must print each text that stands behind
// "// says:". Without MISTAKES, all of this compiles.
#include <cstddef>
#include <span>
#include <string>
#include <tern/tern.h>

#ifdef MISTAKES
#define MISTAKE(...) __VA_ARGS__
#else
#define MISTAKE(...)
#endif

namespace {

// ---- sessions

struct Base {
  void on_message(tern::Connection&, tern::Message) {}
};
struct Good : Base {
  void on_open(tern::Connection&) {}
  void on_drain(const tern::Connection&) {}
  void on_ping(tern::Connection&, std::span<const std::byte>) {}
  void on_pong(tern::Connection&, std::span<const std::byte>) {}
  template <class Info>
  void on_close(tern::Connection&, Info) {}
};
struct FinalAndGood final : Base {
  void on_open(tern::Connection&) {}
};
struct Open : Base {
  MISTAKE(void on_open(){})
};
struct Overloaded : Base {
  MISTAKE(void on_drain(int) {} void on_drain(){})
};
struct Hidden : Base {
  MISTAKE(private : void on_close(tern::Connection&, const tern::CloseInfo&){})
};
struct Inherited : Open {};
struct Final final : Base {
  MISTAKE(void on_close(tern::Connection&, tern::CloseInfo&){})
};
struct Member : Base {
  MISTAKE(int on_open = 0;)
};
struct Ping : Base {
  MISTAKE(void on_ping(std::span<const std::byte>){})
};
struct Pong : Base {
  MISTAKE(void on_pong(tern::Connection&, std::string){})
};
struct NeedsNumber : Base {
  explicit NeedsNumber(MISTAKE(int)) {}
};

void routes(tern::Server& server) {
  server.route<Good>("/good");
  server.route<FinalAndGood>("/good");
  // says: on_open would never be called: it must be public and take (tern::Connection&)
  // says: on_drain would never be called: it must be public and take (tern::Connection&)
  // says: on_ping would never be called: it must be public and take (tern::Connection&, std::span<
  // says: on_pong would never be called: it must be public and take (tern::Connection&, std::span<
  // says: on_close would never be called: it must be public and take (tern::Connection&, const
  server.route<Open>("/");        // refused
  server.route<Overloaded>("/");  // refused
  server.route<Hidden>("/");      // refused
  server.route<Inherited>("/");   // refused
  server.route<Final>("/");       // refused
  server.route<Member>("/");      // refused
  server.route<Ping>("/");        // refused
  server.route<Pong>("/");        // refused
  // says: the session cannot be constructed from copies of these arguments
  server.route<NeedsNumber>("/");  // refused
}

void decide(const tern::Upgrade& upgrade) {
  upgrade.accept<tern::Handlers>({}, tern::Handlers{});
  upgrade.accept(tern::Handlers{});
  upgrade.accept({.on_message = [](tern::Connection&, tern::Message) {}}, {.protocols = {"chat"}});
  // says: the session cannot be constructed from these arguments
  upgrade.accept<NeedsNumber>();  // refused
}

// ---- an engine keeps the address of its options

void engines(tern::Workspace& workspace) {
  const tern::EngineOptions options;
  (void)tern::Engine::server(options, workspace);
  (void)tern::Engine::client({}, options, workspace);
  (void)tern::Engine::established(tern::Role::server, {}, options, workspace);
  // says: deleted function
  using Options = tern::EngineOptions;
  MISTAKE((void)tern::Engine::server({}, workspace);)         // refused
  MISTAKE((void)tern::Engine::server(Options(), workspace);)  // refused
  MISTAKE((void)tern::Engine::client({}, {}, workspace);)     // refused
  using tern::Role;
  MISTAKE((void)tern::Engine::established(Role::server, {}, {}, workspace);)  // refused
}

}  // namespace

int main() {
  tern::Server server;
  routes(server);
  tern::Workspace workspace;
  engines(workspace);
  (void)&decide;
}
