// The route of a path: exact paths, parameters, rests, and which of several that fit is chosen.
#include "server/router.h"
#include "support/raw_client.h"
#include "support/running_server.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using server::Method;
using server::Parameters;
using server::Router;

Response page(const Request&) { return Response::text("x"); }

void add(Router& router, const std::string& path, Method method = Method::get) {
  router.set_page(router.add(path, Router::kind_of(method)), path, method, page);
}

// Returns the path of the route and its parameters, as "/a/{x} x=1"; "none" if there is no route.
std::string found_by(Router& router, std::string_view path) {
  if (const server::Route* const exact = router.find(path)) {
    return std::string(router.path_of(exact->id));
  }
  Parameters parameters;
  const server::Route* const route = router.find_pattern(path, parameters);
  if (route == nullptr) return "none";
  std::string text(router.path_of(route->id));
  for (const auto& [name, value] : parameters.all()) {
    text.append(" ").append(name).append("=").append(value);
  }
  return text;
}

TEST(ServerRouter, FindsTheMostSpecificRouteThatFits) {
  const std::vector<std::string> paths{"/",
                                       "/rooms",
                                       "/rooms/new",
                                       "/rooms/{room}",
                                       "/rooms/{room}/users",
                                       "/a/lit/b",
                                       "/a/{x}/c",
                                       "/a/{x}/{y}/d",
                                       "/a/{all...}",
                                       "/{x}/lit",
                                       "/files/{p...}",
                                       "/files/{p}/info",
                                       "/slash/{x}/",
                                       "/n/{x}/{x2}"};
  Router router;
  for (const std::string& path : paths) add(router, path);
  ASSERT_EQ(router.problem(), "");
  const std::pair<std::string, std::string> cases[] = {
      {"/", "/"},
      {"/rooms", "/rooms"},
      {"/rooms/new", "/rooms/new"},
      {"/rooms/7", "/rooms/{room} room=7"},
      {"/rooms/new/users", "/rooms/{room}/users room=new"},  // it goes back behind "new"
      {"/rooms/", "none"},                                   // no empty parameter
      {"/rooms//users", "none"},
      {"/rooms/7/", "none"},
      {"/rooms/7/users/", "none"},
      {"/rooms/%6eew", "/rooms/{room} room=%6eew"},  // compared as received
      {"/rooms/a%2Fb", "/rooms/{room} room=a%2Fb"},  // no slash of the path
      {"/rooms/{room}", "/rooms/{room} room={room}"},
      {"/a/lit/b", "/a/lit/b"},
      {"/a/lit/c", "/a/{x}/c x=lit"},
      {"/a/lit/e", "/a/{all...} all=lit/e"},
      {"/a/1/2/d", "/a/{x}/{y}/d x=1 y=2"},
      {"/a/1/2/e", "/a/{all...} all=1/2/e"},
      {"/a/1//d", "/a/{all...} all=1//d"},
      {"/a/", "none"},
      {"/a//c", "none"},
      {"/a", "none"},
      {"/a/lit", "/a/{all...} all=lit"},  // the literal segment a goes before {x}
      {"/b/lit", "/{x}/lit x=b"},
      {"/files/a/b/c.js", "/files/{p...} p=a/b/c.js"},
      {"/files/a/", "/files/{p...} p=a/"},
      {"/files/a/info", "/files/{p}/info p=a"},
      {"/files/a/infos", "/files/{p...} p=a/infos"},
      {"/files", "none"},
      {"/slash/x/", "/slash/{x}/ x=x"},
      {"/slash/x", "none"},
      {"/n/1/2", "/n/{x}/{x2} x=1 x2=2"},
      {"//", "none"},
      {"///lit", "none"},
  };
  for (const auto& [path, expected] : cases) EXPECT_EQ(found_by(router, path), expected) << path;
}

TEST(ServerRouter, TheOrderOfRegistrationDoesNotMatter) {
  std::vector<std::string> paths{"/{x}/b/c", "/a/{y}/c", "/a/b/{z}", "/{r...}"};
  do {
    Router router;
    for (const std::string& path : paths) add(router, path);
    EXPECT_EQ(found_by(router, "/a/b/c"), "/a/b/{z} z=c");
    EXPECT_EQ(found_by(router, "/a/x/c"), "/a/{y}/c y=x");
    EXPECT_EQ(found_by(router, "/x/b/c"), "/{x}/b/c x=x");
    EXPECT_EQ(found_by(router, "/x/b/d"), "/{r...} r=x/b/d");
  } while (std::next_permutation(paths.begin(), paths.end()));
}

// Each node is visited once at most: two ways at each segment do not multiply.
TEST(ServerRouter, ALongPathThatFitsNothingEnds) {
  Router router;
  add(router, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}");
  add(router, "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/{p}/end");
  ASSERT_EQ(router.problem(), "");
  std::string path;
  for (int i = 0; i < 4096; ++i) path += "/a";
  EXPECT_EQ(found_by(router, path), "none");
  EXPECT_EQ(found_by(router, path.substr(0, 32)).substr(0, 8), "/{a}/{b}");
}

TEST(ServerRouter, RefusesPatternsThatCannotWork) {
  const std::pair<std::string, std::string> cases[] = {
      {"/{}", "\"{}\": a parameter has a name"},
      {"/{...}", "\"{...}\": a parameter has a name"},
      {"/{x...}/b", "\"{x...}\" takes the rest of the path, so nothing may follow it"},
      {"/{x...}/", "\"{x...}\" takes the rest of the path, so nothing may follow it"},
      {"/{x}/a/{x}", "\"{x}\": two parameters have this name"},
      {"/{x}/{x...}", "\"{x...}\": two parameters have this name"},
      {"/a{x}", "\"a{x}\": a parameter is a whole segment"},
      {"/{x}b", "\"{x}b\": a parameter is a whole segment"},
      {"/{x}{y}", "\"{x}{y}\": a parameter is a whole segment"},
      {"/{x", "\"{x\": a parameter is a whole segment"},
      {"/x}", "\"x}\": a parameter is a whole segment"},
      {"/{a/b}", "\"{a\": a parameter is a whole segment"},
      {"/{a-b}", "\"{a-b}\": the name of a parameter has only letters, digits and '_'"},
      {"/{{a}", "\"{{a}\": the name of a parameter has only letters, digits and '_'"},
      {"/{a..}", "\"{a..}\": the name of a parameter has only letters, digits and '_'"},
      {"/{a}?x", "query and fragment are not part of a path: \"/{a}\""},
      {"/{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}/{9}/{10}/{11}/{12}/{13}/{14}/{15}/{16}/{17}",
       "it has more than 16 parameters"},
  };
  for (const auto& [path, why] : cases) {
    Router router;
    add(router, path, Method::post);
    EXPECT_TRUE(router.problem().starts_with("post \"" + path + "\": " + why)) << router.problem();
    EXPECT_EQ(found_by(router, "/x"), "none");
  }
}

TEST(ServerRouter, RefusesPathsThatFitTheSameRequests) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"/a/{x}", "/a/{y}"},
       "get \"/a/{y}\": \"/a/{x}\" fits the same requests; use the same names"},
      {{"/a/{x...}", "/a/{y...}"}, "get \"/a/{y...}\": \"/a/{x...}\" fits the same requests"},
      {{"/{a}/b/{c}", "/{a}/b/{d}"}, "get \"/{a}/b/{d}\": \"/{a}/b/{c}\" fits the same requests"},
      {{"/a/{x}", "/a/{x}"}, "get \"/a/{x}\": this path was given before"},
      {{"/a/{x}", "/a/{x...}", "/{y}/{x}", "/a/b", "/a/{z}/c"}, ""},
  };
  for (const auto& [paths, problem] : cases) {
    Router router;
    for (const std::string& path : paths) add(router, path);
    EXPECT_TRUE(router.problem().starts_with(problem)) << router.problem();
    EXPECT_EQ(router.problem().empty(), problem.empty());
  }
}

TEST(ServerRouter, APathHasAPageForEachMethod) {
  Router router;
  for (const Method method : {Method::get, Method::post, Method::del})
    add(router, "/a/{x}", method);
  EXPECT_EQ(router.problem(), "");
  Parameters parameters;
  server::Route* const route = router.find_pattern("/a/1", parameters);
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->methods.allow(), "GET, HEAD, POST, DELETE, OPTIONS");
  EXPECT_EQ(route->page_for("HEAD"), route->page_for("GET"));
  EXPECT_NE(route->page_for("DELETE"), nullptr);
  EXPECT_EQ(route->page_for("PUT"), nullptr);
  EXPECT_EQ(route->page_for("get"), nullptr) << "methods are case-sensitive";
  add(router, "/a/{x}", Method::del);
  EXPECT_EQ(router.problem(), "del \"/a/{x}\": this path was given before");
}

// ---- through a server

struct Routed {
  RunningServer running{};
  std::uint16_t port = 0;

  Routed() {
    auto& server = running.server;
    const auto show = [](std::string_view what) {
      return [what](const Request& request) {
        return Response::text(std::string(what) + ' ' + std::string(request.method()) + ' ' +
                              request.parameter("room") + '|' + request.parameter("other"));
      };
    };
    server.get("/rooms/{room}", show("get")).del("/rooms/{room}", show("del"));
    server.put("/put", show("put")).patch("/put", show("patch")).post("/put", show("post"));
    server.head("/own", show("head")).get("/own", show("get"));
    server.post("/both", show("post")).route("/both", echo());
    server.route("/rooms/{room}", [](Upgrade upgrade) {
      upgrade.accept({.on_message = [upgrade](Connection& conn, Message) {
        conn.send(upgrade.request().parameter("room"));
      }});
    });
    server.route<Room>("/session/{room}/{path...}");
    port = running.start();
  }

  struct Room {
    explicit Room(const Request& request)
        : name(request.parameter("room") + ' ' + request.parameter("path")) {}
    void on_message(Connection& conn, Message) { conn.send(name); }
    std::string name;
  };
};

std::string answer_to(RawClient& client, const std::string& request) {
  const std::string head = client.ask(request);
  const std::string length = field(head, "Content-Length");
  std::string text = head.substr(9, 3);
  if (length != "(absent)" && !request.starts_with("HEAD"))
    text += ' ' + client.body(std::stoul(length));
  const std::string allow = field(head, "Allow");
  return allow == "(absent)" ? text : text + " allow " + allow;
}

TEST(ServerRouter, ParametersAreDecoded) {
  Routed routed;
  RawClient client(routed.port);
  const std::pair<std::string, std::string> cases[] = {
      {"/rooms/7?room=8", "200 get GET 7|"}, {"/rooms/a%20b+c", "200 get GET a b+c|"},
      {"/rooms/a%2Fb", "200 get GET a/b|"},  {"/rooms/%e2%82%AC", "200 get GET \xE2\x82\xAC|"},
      {"/rooms/100%", "200 get GET 100%|"},  {"/rooms/%zz", "200 get GET %zz|"},
      {"/rooms/%252F", "200 get GET %2F|"},  // decoded once
  };
  for (const auto& [target, answer] : cases) {
    EXPECT_EQ(answer_to(client, page_request(target)), answer) << target;
  }
}

TEST(ServerRouter, Rfc9110_9_3_EachMethodHasItsPage) {
  Routed routed;
  const std::pair<std::pair<std::string, std::string>, std::string> cases[] = {
      {{"DELETE", "/rooms/7"}, "200 del DELETE 7|"},
      {{"HEAD", "/rooms/7"}, "200"},
      {{"PUT", "/put"}, "200 put PUT |"},
      {{"PATCH", "/put"}, "200 patch PATCH |"},
      {{"POST", "/put"}, "200 post POST |"},
      {{"GET", "/put"}, "405 Method Not Allowed allow POST, PUT, PATCH, OPTIONS"},
      {{"HEAD", "/put"}, "405 allow POST, PUT, PATCH, OPTIONS"},
      {{"OPTIONS", "/put"}, "204 allow POST, PUT, PATCH, OPTIONS"},
      {{"TRACE", "/put"}, "405 Method Not Allowed allow POST, PUT, PATCH, OPTIONS"},
      {{"POST", "/rooms/7"}, "405 Method Not Allowed allow GET, HEAD, DELETE, OPTIONS"},
      {{"OPTIONS", "/rooms/7"}, "204 allow GET, HEAD, DELETE, OPTIONS"},
      {{"POST", "/both"}, "200 post POST |"},
      {{"OPTIONS", "/both"}, "204 allow GET, HEAD, POST, OPTIONS"},
      {{"PUT", "/both"}, "405 Method Not Allowed allow GET, HEAD, POST, OPTIONS"},
      {{"OPTIONS", "*"}, "204 allow GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
  };
  for (const auto& [request, answer] : cases) {
    RawClient client(routed.port);
    EXPECT_EQ(answer_to(client, page_request(request.second, request.first)), answer)
        << request.first << ' ' << request.second;
  }
  RawClient plain(routed.port);
  EXPECT_TRUE(answer_to(plain, page_request("/both")).starts_with("426 "));
  RawClient head(routed.port);
  EXPECT_EQ(field(head.ask(page_request("/own", "HEAD")), "Content-Length"), "11") << "of its own";
}

TEST(ServerRouter, WebSocketsHaveParameters) {
  Routed routed;
  const std::pair<std::string, std::string> cases[] = {
      {"/rooms/a%20b", "text a b"},
      {"/session/7/x/y%2Fz/", "text 7 x/y/z/"},
  };
  for (const auto& [target, answer] : cases) {
    RawClient client(routed.port);
    ASSERT_TRUE(client.upgrade(target)) << target;
    client.send(text("hi"));
    EXPECT_EQ(client.next(), answer);
  }
  RawClient none(routed.port);
  EXPECT_TRUE(none.ask(upgrade_request({}, "/session/7/")).starts_with("HTTP/1.1 404 "));
}

TEST(ServerRouter, TheFallbackAnswersAllThatHasNoRoute) {
  RunningServer running;
  running.server.get("/there", page).get("/{x}/y", page);
  running.server.fallback([](const Request& request) {
    if (request.path() == "/throws") throw std::runtime_error("oops");
    return Response::status(request.path() == "/old" ? 200 : 404,
                            std::string(request.method()) + " " + std::string(request.path()));
  });
  const std::uint16_t port = running.start();
  const std::pair<std::string, std::string> cases[] = {
      {page_request("/there"), "200 x"},
      {page_request("/old"), "200 GET /old"},
      {page_request("/x/z"), "404 GET /x/z"},
      {page_request("/none", "DELETE"), "404 DELETE /none"},
      {page_request("/none", "OPTIONS"), "404 OPTIONS /none"},
      {page_request("/throws"), "500 Internal Server Error"},
      {upgrade_request({}, "/ws"), "404 GET /ws"},
      {page_request("/there", "DELETE"), "405 Method Not Allowed allow GET, HEAD, OPTIONS"},
  };
  for (const auto& [request, answer] : cases) {
    RawClient client(port);
    EXPECT_EQ(answer_to(client, request), answer) << request;
  }
}

}  // namespace
}  // namespace tern::test
