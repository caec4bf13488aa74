#!/usr/bin/env python3
"""Writes the seeds of files_fuzz to corpus/. Run it in this directory."""
import os

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sunday, 06-Nov-94 08:49:38 GMT"

SEEDS = {
    "range": ("100", "/a.js", "*.js", ["Range: bytes=10-19"]),
    "range_open": ("100", "/a", "a*b*c", ["Range: bytes=10-"]),
    "range_suffix": ("100", "/a/b", "*/b", ["Range: bytes=-10", "Range: bytes=-0", "Range: bytes=-"]),
    "range_behind": ("100", "", "", ["Range: bytes=100-"]),
    "range_huge": ("18446744073709551615", "/x", "**", ["Range: bytes=0-99999999999999999999999"]),
    "range_empty": ("0", "/x", "x", ["Range: bytes=-1", "Range: bytes=0-"]),
    "range_wrong": ("9", "/x", "*xx", ["Range: lines=0-1", "Range: bytes=5-1", "Range: bytes=1", "Range: bytes=a-b"]),
    "range_several": ("9", "/.well-known/x", "*", ["Range: bytes=0-1,3-4"]),
    "dots": ("1", "/a/%2e%2e/b", "", []),
    "encoded": ("1", "/a%20b/%C3%A9.html", "*%*", []),
    "slash": ("1", "/a%2Fb", "", []),
    "cut": ("1", "/a%2", "", []),
    "nul": ("1", "/a%00.html", "", []),
    "folder": ("1", "/docs/", "*/", []),
    "no_extension": ("1", "/docs.d/README", "", []),
    "none_match": ("1", "/", "", ['If-None-Match: "b", W/"a-1"', 'If-None-Match: *']),
    "none_match_wrong": ("1", "/", "", ['If-None-Match: "b" "a-1"', 'If-None-Match: "x y", "a-1"', 'If-None-Match: "a-1']),
    "match": ("1", "/", "", ['If-Match: W/"a-1"']),
    "match_holds": ("1", "/", "", ['If-Match: "a-1"', f"If-Modified-Since: {DATE}"]),
    "dates": ("1", "/", "", [f"If-Unmodified-Since: {DATE}", f"If-Modified-Since: {LATER}"]),
    "dates_failed": ("1", "/", "", ["If-Unmodified-Since: Sun Nov  6 08:49:36 1994"]),
    "if_range": ("1", "/", "", ['If-Range: "a-1"']),
    "if_range_date": ("1", "/", "", [f"If-Range: {DATE}"]),
    "if_range_twice": ("1", "/", "", ['If-Range: "a-1"', 'If-Range: "a-1"']),
    "codings": ("1", "/", "", ["Accept-Encoding: gzip;q=0.5, br;q=0.25, identity;q=1.000"]),
    "codings_any": ("1", "/", "", ["Accept-Encoding: *;q=0, x-gzip", "accept-encoding: br;q=2, ;, br;q=1.5"]),
}

os.makedirs("corpus/files_fuzz", exist_ok=True)
for name, (size, path, pattern, fields) in SEEDS.items():
    with open(f"corpus/files_fuzz/{name}", "w", encoding="utf-8") as out:
        out.write("\n".join([size, path, pattern, *fields]))
