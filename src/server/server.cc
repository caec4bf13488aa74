// The public class of a server. It checks each route and gives it to the core.
#include "tern/server.h"

#include "connection/handlers_session.h"
#include "connection/publishing.h"
#include "engine/validate.h"
#include "server/core.h"

#include <memory>
#include <new>
#include <string>
#include <utility>

namespace tern {

using connection::HandlersSession;

namespace {

using server::Method;

constexpr auto websocket = server::Router::Kind::websocket;

void add_page(server::Core& core, const std::string& path, Method method, server::Page page) {
  if (server::Route* const route = core.add_route(path, server::Router::kind_of(method))) {
    core.router.set_page(*route, path, method, std::move(page));
  }
}

}  // namespace

Server::Server(ServerOptions options) : core_(std::make_unique<server::Core>(std::move(options))) {}

Server::~Server() = default;

Server& Server::add_route(std::string path, Accept accept, const connection::SessionType& type,
                          Construct construct, bool reads_request) {
  server::Route* const route = core_->add_route(path, websocket);
  if (route == nullptr) return *this;
  if (const std::string why = engine::why_invalid(accept); !why.empty()) {
    core_->router.complain(path, websocket, why);
  }
  route->decide = nullptr;
  route->type = &type;
  route->construct = std::move(construct);
  route->reads_request = reads_request;
  route->accept = std::move(accept);
  return *this;
}

Server& Server::route(std::string path, Handlers handlers, Accept accept) {
  const bool complete = static_cast<bool>(handlers.on_message);
  if (!complete && !core_->running())
    core_->router.complain(path, websocket, "on_message is missing");
  auto kept = std::make_unique<Handlers>(std::move(handlers));
  return add_route(
      std::move(path), std::move(accept), connection::session_type<HandlersSession>,
      [kept = std::move(kept)](void* memory, const Request&) {
        ::new (memory) HandlersSession{kept.get()};
      },
      false);
}

Server& Server::route(std::string path, UniqueFunction<void(Upgrade)> decide) {
  server::Route* const route = core_->add_route(path, websocket);
  if (route == nullptr) return *this;
  if (!decide) core_->router.complain(path, websocket, "the function is empty");
  route->type = nullptr;
  route->decide = std::move(decide);
  return *this;
}

Server& Server::get(std::string path, PageFunction page) {
  add_page(*core_, path, Method::get, std::move(page));
  return *this;
}

Server& Server::head(std::string path, PageFunction page) {
  add_page(*core_, path, Method::head, std::move(page));
  return *this;
}

Server& Server::post(std::string path, PageFunction page) {
  add_page(*core_, path, Method::post, std::move(page));
  return *this;
}

Server& Server::put(std::string path, PageFunction page) {
  add_page(*core_, path, Method::put, std::move(page));
  return *this;
}

Server& Server::patch(std::string path, PageFunction page) {
  add_page(*core_, path, Method::patch, std::move(page));
  return *this;
}

Server& Server::del(std::string path, PageFunction page) {
  add_page(*core_, path, Method::del, std::move(page));
  return *this;
}

Server& Server::files(std::string prefix, std::string folder, FilesOptions options) {
  if (core_->is_too_late("files \"" + prefix + "\" is ignored: call it before run()")) return *this;
  core_->router.files().add(std::move(prefix), std::move(folder), std::move(options));
  return *this;
}

Server& Server::fallback(PageFunction page) {
  if (core_->is_too_late("fallback is ignored: call it before run()")) return *this;
  core_->router.set_fallback(std::move(page));
  return *this;
}

Server& Server::topics(TopicOptions options) { return topics("*", std::move(options)); }

Server& Server::topics(std::string pattern, TopicOptions options) {
  if (core_->is_too_late("topics \"" + pattern + "\" are ignored: call topics() before run()")) {
    return *this;
  }
  core_->topics->set_options(std::move(pattern), std::move(options));
  return *this;
}

Server& Server::on_topic(UniqueFunction<void(std::string_view, TopicEvent)> function) {
  if (core_->is_too_late("on_topic is ignored: call it before run()")) return *this;
  core_->on_topic = std::move(function);
  return *this;
}

Server& Server::add_bridge(std::unique_ptr<Bridge> bridge, BridgeOptions options) {
  const std::string topics = options.topics;
  if (core_->is_too_late("bridge \"" + topics + "\" is ignored: call bridge() before run()")) {
    return *this;
  }
  core_->bridges.add(std::move(bridge), std::move(options));
  return *this;
}

Server& Server::on_bridge_gap(UniqueFunction<void(std::string_view, GapCause)> function) {
  if (core_->is_too_late("on_bridge_gap is ignored: call it before run()")) return *this;
  core_->bridges.on_gap = std::move(function);
  return *this;
}

Server& Server::on_worker_start(UniqueFunction<void(Loop&)> function) {
  if (core_->is_too_late("on_worker_start is ignored: call it before run()")) return *this;
  if (function) core_->on_worker_start.push_back(std::move(function));
  return *this;
}

PublishStatus Server::publish(std::string_view topic, Message message,
                              SendOptions options) noexcept {
  return connection::publish(*core_->topics, topic, message, options);
}

PublishStatus Server::publish(std::string_view topic, const SharedMessage& message,
                              SendOptions options) noexcept {
  return connection::publish(*core_->topics, topic, message, options);
}

Topic Server::topic(std::string_view name) noexcept {
  topics::Found found = core_->topics->get(name);
  return found.topic ? Topic(core_->topics, found.topic.detach()) : Topic();
}

std::size_t Server::subscribers(std::string_view topic) const noexcept {
  const topics::TopicRef found = core_->topics->find(topic);
  return found ? found->subscribers() : 0;
}

std::optional<SharedMessage> Server::retained(std::string_view topic) const {
  const topics::TopicRef found = core_->topics->find(topic);
  if (!found) return {};
  topics::Beginning last = found->begin_again(From::retained);
  if (last.kept.empty()) return {};
  return std::move(last.kept.back().message);
}

bool Server::for_each(UniqueFunction<void(Connection&)> function) noexcept {
  return core_->for_each(std::move(function));
}

bool Server::post_all(UniqueFunction<void()> function) noexcept {
  return core_->post_all(std::move(function));
}

Result<void> Server::listen() noexcept { return core_->listen(); }
Result<void> Server::run() noexcept { return core_->run(); }
void Server::stop(std::chrono::nanoseconds deadline, CloseCode code,
                  std::string_view reason) noexcept {
  core_->stop(deadline, code, reason);
}
void Server::drain(const Drain& how) noexcept { core_->drain(how); }
bool Server::is_ending() const noexcept { return core_->is_ending(); }
Result<void> Server::reload_certificates() { return core_->reload_certificates(); }
std::uint16_t Server::port() const noexcept { return core_->port; }
std::vector<std::string> Server::addresses() const { return core_->addresses(); }

Counters Server::counters() const { return core_->counters(); }

std::vector<BridgeStatus> Server::bridges() const { return core_->bridges.statuses(); }

}  // namespace tern
