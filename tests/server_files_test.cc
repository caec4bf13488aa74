// Files of a folder over a socket: which file answers, with which fields, and that nothing outside
// of the folder ever does.
#include "tern/tern.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

namespace fs = std::filesystem;

/// A server with a folder. Its files were changed in 2001.
struct Site {
  Site() {
    std::string name = (fs::temp_directory_path() / "tern_files_XXXXXX").string();
    root = ::mkdtemp(name.data());
    for (const char* const folder : {"public/docs/deep", "public/empty", "other/docs"})
      fs::create_directories(root / folder);
    write("secret", "secret");
    write("public/index.html", "start");
    write("public/app.js", "0123456789");
    write("public/docs/index.html", "docs");
    write("public/docs/a b.txt", "spaces");
    write("public/none", "");
    write("public/.hidden", "secret");
    write("other/page.htm", "other page");
    write("other/docs/x", "other x");
  }
  ~Site() {
    running.stop();
    fs::remove_all(root);
  }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  void write(std::string_view path, std::string_view text, std::time_t changed = 1'000'000'000) {
    std::ofstream(root / path, std::ios::binary) << text;
    const timespec times[2] = {{changed, 0}, {changed, 0}};
    ::utimensat(AT_FDCWD, (root / path).c_str(), times, 0);
  }
  void serve(FilesOptions options = {}, std::string prefix = "/") {
    running.server.files(std::move(prefix), (root / "public").string(), std::move(options));
  }

  fs::path root{};
  RunningServer running{};
};

struct Answer {
  std::string head{};
  std::string body{};

  std::string status() const { return head.substr(9, 3); }
  std::string operator[](std::string_view name) const { return field(head, name); }
};

/// Asks with these field lines and reads the whole answer on a connection of its own.
Answer ask(std::uint16_t port, const std::string& target, const std::string& fields = {},
           const std::string& method = "GET") {
  RawClient client(port);
  Answer answer;
  answer.head = client.ask(method + ' ' + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
  const std::string size = answer["Content-Length"];
  if (method != "HEAD" && size != "(absent)") answer.body = client.body(std::stoul(size));
  client.finish();
  EXPECT_TRUE(client.ends()) << answer.head;
  return answer;
}

TEST(ServerFiles, SendsAFileWithItsFields) {
  Site site;
  site.serve({.cache_control = {{"docs/*", "no-store"}, {"*.js", "max-age=60"}}});
  const std::uint16_t port = site.running.start();
  const Answer script = ask(port, "/app.js?v=1");
  EXPECT_EQ(script.status(), "200") << script.head;
  EXPECT_EQ(script.body, "0123456789");
  EXPECT_EQ(script["Content-Type"], "text/javascript; charset=utf-8");
  EXPECT_EQ(script["Content-Length"], "10");
  EXPECT_EQ(script["Last-Modified"], "Sun, 09 Sep 2001 01:46:40 GMT");
  EXPECT_EQ(script["Accept-Ranges"], "bytes");
  EXPECT_EQ(script["Cache-Control"], "max-age=60");
  EXPECT_EQ(script["Vary"], "(absent)");
  EXPECT_TRUE(script["ETag"].starts_with('"')) << script.head;
  EXPECT_EQ(script["Connection"], "(absent)");
  EXPECT_EQ(ask(port, "/docs/")["Cache-Control"], "no-store");
  EXPECT_EQ(ask(port, "/")["Cache-Control"], "(absent)");
  EXPECT_EQ(ask(port, "/docs/a%20b.txt").body, "spaces");
  const Answer empty = ask(port, "/none");
  EXPECT_EQ(empty.status(), "200");
  EXPECT_EQ(empty["Content-Length"], "0");
  EXPECT_EQ(empty["Content-Type"], "application/octet-stream");
  const Answer head = ask(port, "/app.js", {}, "HEAD");
  EXPECT_EQ(head.status(), "200");
  EXPECT_EQ(head["Content-Length"], "10");
  EXPECT_EQ(head["ETag"], script["ETag"]);
}

TEST(ServerFiles, ManyFilesOnOneConnection) {
  Site site;
  site.serve();
  RawClient client(site.running.start());
  std::string requests;
  for (int i = 0; i < 100; ++i)
    requests += page_request("/app.js") + page_request("/none") + page_request("/docs/", "HEAD");
  client.send(requests);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(field(client.head(), "Content-Length"), "10");
    EXPECT_EQ(client.body(10), "0123456789");
    EXPECT_EQ(field(client.head(), "Content-Length"), "0");
    EXPECT_EQ(field(client.head(), "Content-Length"), "4");
  }
}

TEST(ServerFiles, AFolderIsItsIndexFileAndIsNeverListed) {
  Site site;
  site.serve();
  const std::uint16_t port = site.running.start();
  EXPECT_EQ(ask(port, "/").body, "start");
  EXPECT_EQ(ask(port, "/docs/").body, "docs");
  EXPECT_EQ(ask(port, "/docs/")["Content-Type"], "text/html; charset=utf-8");
  const Answer redirect = ask(port, "/docs?a=b");
  EXPECT_EQ(redirect.status(), "301");
  EXPECT_EQ(redirect["Location"], "/docs/?a=b");
  for (const char* const path : {"/empty", "/empty/", "/docs/deep/", "/app.js/", "/index.html/x"})
    EXPECT_EQ(ask(port, path).status(), "404") << path;
}

TEST(ServerFiles, TheFirstIndexFileThatExistsCounts) {
  Site site;
  site.running.server.files("/a", (site.root / "other").string(),
                            {.index = {"index.html", "page.htm"}});
  site.running.server.files("/b", (site.root / "public").string(), {.index = {}});
  const std::uint16_t port = site.running.start();
  EXPECT_EQ(ask(port, "/a/").body, "other page");
  EXPECT_EQ(ask(port, "/a")["Location"], "/a/");
  EXPECT_EQ(ask(port, "/b/").status(), "404");
  EXPECT_EQ(ask(port, "/b").status(), "404");
  EXPECT_EQ(ask(port, "/b/index.html").body, "start");
  EXPECT_EQ(ask(port, "/ab").status(), "404");
}

TEST(ServerFiles, NothingOutsideOfTheFolderIsSent) {
  Site site;
  fs::create_symlink(site.root / "secret", site.root / "public" / "link");
  fs::create_symlink("../secret", site.root / "public" / "relative");
  fs::create_symlink("..", site.root / "public" / "up");
  fs::create_symlink("/", site.root / "public" / "top");
  ASSERT_EQ(::mkfifo((site.root / "public" / "fifo").c_str(), 0600), 0);
  site.serve();
  site.running.server.files("/s", (site.root / "public").string());
  const std::uint16_t port = site.running.start();
  const std::vector<std::string> paths = {"/../secret",
                                          "/%2e%2e/secret",
                                          "/%2E%2E/secret",
                                          "/.%2e/secret",
                                          "/..%2fsecret",
                                          "/%2e%2e%2fsecret",
                                          "/%252e%252e/secret",
                                          "/%252e%252e%252fsecret",
                                          "/docs/../../secret",
                                          "/docs/%2e%2e/%2e%2e/secret",
                                          "/..%5csecret",
                                          "/..\\secret",
                                          "/%5c..%5csecret",
                                          "/..%00/secret",
                                          "/secret%00.html",
                                          "/app.js%00",
                                          "/..%c0%afsecret",
                                          "/%c0%ae%c0%ae/secret",
                                          "/link",
                                          "/relative",
                                          "/up/secret",
                                          "/top" + (site.root / "secret").string(),
                                          "//secret",
                                          "/" + (site.root / "secret").string(),
                                          "/./secret",
                                          "/s/../secret",
                                          "/s/%2e%2e/secret",
                                          "/s../secret",
                                          "/s/..",
                                          "/s%2f..%2f..%2fsecret",
                                          "/.hidden",
                                          "/%2ehidden",
                                          "/fifo",
                                          "/docs/..;/..;/secret",
                                          "/secret"};
  for (const std::string& path : paths) {
    const Answer answer = ask(port, path);
    EXPECT_EQ(answer.status(), "404") << path;
    EXPECT_EQ(answer.body.find("secret"), std::string::npos) << path;
  }
  EXPECT_EQ(ask(port, "/app.js").status(), "200");
  EXPECT_EQ(ask(port, "/s/app.js").status(), "200");
}

TEST(ServerFiles, Rfc9110_13_AFileThatTheClientHasIsNotSent) {
  Site site;
  site.serve({.cache_control = {{"*", "no-cache"}}, .precompressed = true});
  const std::uint16_t port = site.running.start();
  const std::string etag = ask(port, "/app.js")["ETag"];
  const std::string same = "Sun, 09 Sep 2001 01:46:40 GMT\r\n";
  const std::string before = "Sun, 09 Sep 2001 01:46:39 GMT\r\n";
  struct Row {
    std::string fields;
    const char* status;
  };
  for (const Row& row :
       {Row{"If-None-Match: " + etag + "\r\n", "304"},
        Row{"If-None-Match: W/" + etag + "\r\n", "304"},
        Row{"If-None-Match: \"x\"\r\nIf-Modified-Since: " + same, "200"},
        Row{"If-Modified-Since: " + same, "304"}, Row{"If-Modified-Since: " + before, "200"},
        Row{"If-Match: \"x\"\r\n", "412"}, Row{"If-Match: " + etag + "\r\n", "200"},
        Row{"If-Unmodified-Since: " + before, "412"},
        Row{"If-None-Match: " + etag + "\r\nRange: bytes=0-1\r\n", "304"}}) {
    for (const char* const method : {"GET", "HEAD"}) {
      const Answer answer = ask(port, "/app.js", row.fields, method);
      EXPECT_EQ(answer.status(), row.status) << row.fields;
      if (answer.status() != "304") continue;
      EXPECT_EQ(answer["Content-Length"], "(absent)");
      EXPECT_EQ(answer["Content-Type"], "(absent)");
      EXPECT_EQ(answer["ETag"], etag);
      EXPECT_EQ(answer["Last-Modified"] + "\r\n", same);
      EXPECT_EQ(answer["Cache-Control"], "no-cache");
      EXPECT_EQ(answer["Vary"], "Accept-Encoding");
      EXPECT_EQ(answer["Connection"], "(absent)") << "the connection is kept";
    }
  }
  site.write("public/app.js", "abcdefghij", 1'000'000'001);
  EXPECT_EQ(ask(port, "/app.js", "If-None-Match: " + etag + "\r\n").body, "abcdefghij");
}

// A client would take such a date for one of the future and never use it (RFC 9110 §8.8.2.1).
TEST(ServerFiles, Rfc9110_8_8_2_1_LastModifiedIsNotInTheFuture) {
  Site site;
  site.write("public/later", "x", 4'000'000'000);
  site.serve();
  const Answer answer = ask(site.running.start(), "/later");
  EXPECT_EQ(answer["Last-Modified"].find("2096"), std::string::npos) << answer.head;
}

TEST(ServerFiles, Rfc9110_14_SendsOneRange) {
  Site site;
  site.serve();
  const std::uint16_t port = site.running.start();
  const std::string etag = ask(port, "/app.js")["ETag"];
  struct Row {
    std::string fields;
    const char* status;
    const char* content_range;
    const char* body;
  };
  const char* const whole = "0123456789";
  for (const Row& row :
       {Row{"Range: bytes=2-4\r\n", "206", "bytes 2-4/10", "234"},
        Row{"Range: bytes=7-\r\n", "206", "bytes 7-9/10", "789"},
        Row{"Range: bytes=-2\r\n", "206", "bytes 8-9/10", "89"},
        Row{"Range: bytes=0-99\r\n", "206", "bytes 0-9/10", whole},
        Row{"Range: bytes=0-1,4-5\r\n", "200", "(absent)", whole},
        Row{"Range: bytes=0-1\r\nRange: bytes=0-1\r\n", "200", "(absent)", whole},
        Row{"Range: lines=0-1\r\n", "200", "(absent)", whole},
        Row{"Range: bytes=0-1\r\nIf-Range: " + etag + "\r\n", "206", "bytes 0-1/10", "01"},
        Row{"Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", "200", "(absent)", whole},
        Row{"Range: bytes=0-1\r\nIf-Range: Sun, 09 Sep 2001 01:46:40 GMT\r\n", "206",
            "bytes 0-1/10", "01"}}) {
    const Answer answer = ask(port, "/app.js", row.fields);
    EXPECT_EQ(answer.status(), row.status) << row.fields;
    EXPECT_EQ(answer["Content-Range"], row.content_range) << row.fields;
    EXPECT_EQ(answer.body, row.body) << row.fields;
    EXPECT_EQ(answer["ETag"], etag);
  }
  const Answer behind = ask(port, "/app.js", "Range: bytes=10-\r\n");
  EXPECT_EQ(behind.status(), "416");
  EXPECT_EQ(behind["Content-Range"], "bytes */10");
  const Answer head = ask(port, "/app.js", "Range: bytes=2-4\r\n", "HEAD");
  EXPECT_EQ(head.status(), "200") << "a range has a meaning only for GET";
  EXPECT_EQ(head["Content-Length"], "10");
  EXPECT_EQ(ask(port, "/none", "Range: bytes=0-\r\n").status(), "416");
}

TEST(ServerFiles, Rfc9110_12_5_3_SendsACompressedFileToClientsThatTakeIt) {
  Site site;
  site.write("public/app.js.br", "brotli");
  site.write("public/app.js.gz", "gzipped");
  site.write("public/old.css", "new", 1'000'000'001);
  site.write("public/old.css.gz", "of an older version");
  site.write("public/docs/index.html.gz", "gz");
  site.serve({.precompressed = true});
  const std::uint16_t port = site.running.start();
  struct Row {
    const char* path;
    const char* accept;
    const char* coding;
    const char* body;
  };
  for (const Row& row :
       {Row{"/app.js", "gzip, deflate, br", "br", "brotli"},
        Row{"/app.js", "gzip", "gzip", "gzipped"},
        Row{"/app.js", "br;q=0.5, gzip;q=0.8", "gzip", "gzipped"},
        Row{"/app.js", "br;q=0, gzip;q=0", "(absent)", "0123456789"},
        Row{"/app.js", "identity, br;q=0.9", "(absent)", "0123456789"},
        Row{"/app.js", "*", "br", "brotli"}, Row{"/app.js", "zstd", "(absent)", "0123456789"},
        Row{"/old.css", "gzip", "(absent)", "new"}, Row{"/docs/", "br, gzip", "gzip", "gz"}}) {
    const Answer answer =
        ask(port, row.path, "Accept-Encoding: " + std::string(row.accept) + "\r\n");
    EXPECT_EQ(answer["Content-Encoding"], row.coding) << row.path << ' ' << row.accept;
    EXPECT_EQ(answer.body, row.body) << row.path << ' ' << row.accept;
    EXPECT_EQ(answer["Vary"], "Accept-Encoding");
  }
  const Answer br = ask(port, "/app.js", "Accept-Encoding: br\r\n");
  const Answer plain = ask(port, "/app.js");
  EXPECT_EQ(plain["Content-Encoding"], "(absent)");
  EXPECT_EQ(plain["Vary"], "Accept-Encoding");
  EXPECT_EQ(br["Content-Type"], "text/javascript; charset=utf-8");
  EXPECT_NE(br["ETag"], plain["ETag"]) << "another coding is another representation";
  EXPECT_EQ(
      ask(port, "/app.js", "Accept-Encoding: br\r\nIf-None-Match: " + br["ETag"] + "\r\n").status(),
      "304");
  EXPECT_EQ(ask(port, "/app.js", "Accept-Encoding: br\r\nRange: bytes=0-2\r\n").body, "bro");
}

TEST(ServerFiles, RoutesGoFirstThenTheLongestPrefixThenTheFallback) {
  Site site;
  auto& server = site.running.server;
  site.serve();
  server.files("/docs/", (site.root / "other").string());
  server.get("/app.js", [](const Request&) { return Response::text("the page"); });
  server.get("/items/{id}", [](const Request&) { return Response::text("the item"); });
  server.fallback([](const Request& request) {
    return Response::status(404, "no " + std::string(request.path()));
  });
  server.route("/echo", echo());
  const std::uint16_t port = site.running.start();
  EXPECT_EQ(ask(port, "/app.js").body, "the page");
  EXPECT_EQ(ask(port, "/items/7").body, "the item");
  EXPECT_EQ(ask(port, "/docs/page.htm").body, "other page");
  EXPECT_EQ(ask(port, "/docs/docs/x").body, "other x");
  EXPECT_EQ(ask(port, "/docs/index.html").body, "no /docs/index.html")
      << "the folder of a shorter prefix does not answer";
  EXPECT_EQ(ask(port, "/docsx").body, "no /docsx");
  EXPECT_EQ(ask(port, "/").body, "start");
  EXPECT_EQ(ask(port, "/absent").body, "no /absent");
  RawClient client(port);
  EXPECT_TRUE(client.upgrade("/echo"));
  RawClient stray(port);
  const std::string head = stray.ask(upgrade_request({}, "/index.html"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << "as a page at a path without a WebSocket";
  EXPECT_EQ(field(head, "Connection"), "close");
  RawClient wrong(port);
  EXPECT_TRUE(wrong.ask(upgrade_request({}, "/absent")).starts_with("HTTP/1.1 404 "));
}

TEST(ServerFiles, Rfc9110_15_5_6_OtherMethodsAreRefused) {
  Site site;
  site.serve();
  const std::uint16_t port = site.running.start();
  for (const char* const method : {"DELETE", "TRACE", "PROPFIND", "get"}) {
    const Answer answer = ask(port, "/app.js", {}, method);
    EXPECT_EQ(answer.status(), "405") << method;
    EXPECT_EQ(answer["Allow"], "GET, HEAD, OPTIONS");
    EXPECT_EQ(ask(port, "/absent", {}, method).status(), "404") << method;
  }
  const Answer options = ask(port, "/app.js", {}, "OPTIONS");
  EXPECT_EQ(options.status(), "204");
  EXPECT_EQ(options["Allow"], "GET, HEAD, OPTIONS");
}

TEST(ServerFiles, OptionsOfTypesAndHttp10) {
  Site site;
  site.write("public/model.GLB", "model");
  site.serve({.content_types = {{"glb", "model/gltf-binary"}}});
  const std::uint16_t port = site.running.start();
  EXPECT_EQ(ask(port, "/model.GLB")["Content-Type"], "model/gltf-binary");
  EXPECT_EQ(ask(port, "/app.js")["Content-Type"], "text/javascript; charset=utf-8");
  RawClient client(port);
  const std::string head = client.ask("GET /app.js HTTP/1.0\r\n\r\n");
  EXPECT_EQ(field(head, "Content-Length"), "10");
  EXPECT_EQ(field(head, "Connection"), "close");
  EXPECT_EQ(client.body(10), "0123456789");
  EXPECT_TRUE(client.ends());
}

TEST(ServerFiles, WhatCanNeverWorkIsAnErrorOfListen) {
  Site site;
  struct Row {
    const char* prefix;
    const char* folder;
    FilesOptions options;
    const char* says;
  };
  const std::vector<Row> table = {
      {"/", "absent", {}, "absent"},
      {"/", "secret", {}, "secret"},
      {"x", "public", {}, "begins with '/'"},
      {"/a?b", "public", {}, "not part of a path"},
      {"/{a}", "public", {}, "files \"/{a}\": a prefix has no parameters"},
      {"/a/{b...}/", "public", {}, "a prefix has no parameters"},
      {"/", "public", {.index = {"a/b"}}, "a/b"},
      {"/", "public", {.index = {""}}, "index"},
      {"/", "public", {.cache_control = {{"*", "a\r\nb"}}}, "cache_control"},
      {"/", "public", {.cache_control = {{"", "no-cache"}}}, "cache_control"},
      {"/", "public", {.content_types = {{".js", "a/b"}}}, "has no dot"},
      {"/", "public", {.content_types = {{"js", "a\n"}}}, "content_types"},
  };
  for (const Row& row : table) {
    Server server({.host = "127.0.0.1"});
    server.files(row.prefix, (site.root / row.folder).string(), row.options);
    const auto listening = server.listen();
    ASSERT_FALSE(listening) << row.says;
    EXPECT_NE(listening.error().message().find(row.says), std::string::npos)
        << listening.error().message();
  }
  Server twice({.host = "127.0.0.1"});
  twice.files("/a", (site.root / "public").string()).files("/a/", (site.root / "other").string());
  EXPECT_FALSE(twice.listen());
}

}  // namespace
}  // namespace tern::test
