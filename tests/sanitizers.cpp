// What the leak checker is told, in builds that have it.

/// MMDB_open() of libmaxminddb 1.7.1 loses what it has read of a damaged file's metadata.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libmaxminddb.so\n"; }
