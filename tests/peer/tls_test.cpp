// Goal: with certificates, both ends show one that the authority has signed, or there is no
// link, and both say why.

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "base/temporary_directory.h"
#include "peer/nodes.h"

namespace clickmill::peer {
namespace {

/// A key and its certificate, signed by `by`, or by itself as an authority.
class Certificate {
 public:
  explicit Certificate(const std::string& name, const Certificate* by = nullptr)
      : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    X509_set_version(certificate_, X509_VERSION_3);
    static long serial = 0;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate_), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate_), 24 * 3600);
    X509_set_pubkey(certificate_, key_);
    X509_NAME* const subject = X509_get_subject_name(certificate_);
    X509_NAME_add_entry_by_txt(
        subject, "CN", MBSTRING_ASC,
        static_cast<const unsigned char*>(static_cast<const void*>(name.c_str())), -1, -1, 0);
    const Certificate& signer = by == nullptr ? *this : *by;
    X509_set_issuer_name(certificate_, X509_get_subject_name(signer.certificate_));
    if (by == nullptr) {
      X509_EXTENSION* const authority =
          X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
      X509_add_ext(certificate_, authority, -1);
      X509_EXTENSION_free(authority);
    }
    REQUIRE(X509_sign(certificate_, signer.key_, EVP_sha256()) > 0);
  }
  ~Certificate() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  void write(const std::string& certificate_file, const std::string& key_file) const {
    FILE* file = std::fopen(certificate_file.c_str(), "w");
    PEM_write_X509(file, certificate_);
    std::fclose(file);
    file = std::fopen(key_file.c_str(), "w");
    PEM_write_PrivateKey(file, key_, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }

 private:
  EVP_PKEY* key_;
  X509* certificate_;
};

/// Certificates for n1 and n2 by one authority, one for a stranger by another.
struct Files {
  Files() {
    const Certificate ours("our authority");
    const Certificate theirs("another authority");
    ours.write(path("ca"), path("ca.key"));
    theirs.write(path("other-ca"), path("other-ca.key"));
    for (const char* name : {"n1", "n2"}) Certificate(name, &ours).write(path(name), key(name));
    Certificate("stranger", &theirs).write(path("stranger"), key("stranger"));
  }
  std::string path(const std::string& name) const { return directory.path() + "/" + name; }
  std::string key(const std::string& name) const { return path(name) + ".key"; }
  Tls of(const std::string& name, const std::string& ca = "ca") const {
    return {path(name), key(name), path(ca)};
  }
  TemporaryDirectory directory;
};

}  // namespace

TEST_CASE("links: over TLS as without", "[peer]") {
  const Files files;
  Node n2("n2");
  n2.options.tls = files.of("n2");
  n2.knows("n1").start();
  Node n1("n1");
  n1.options.tls = files.of("n1");
  n1.knows("n2", n2.port).start();
  n1.diary.wait_up(1);
  n2.diary.wait_up(1);
  const std::string large(5'000'000, 'z');
  for (int i = 0; i < 5; ++i) {
    CHECK(n1.send("n2", Lane::bulk, large));
    CHECK(n2.send("n1", Lane::group, std::to_string(i)));
  }
  n2.diary.wait_frames(5);
  n1.diary.wait_frames(5);
  for (const auto& came : n2.diary.now(&Diary::frames)) CHECK((came.frame == large));
  CHECK(n1.diary.now(&Diary::frames)[4].frame == "4");
  // A knock says nothing, in TLS neither.
  CHECK(n2.links->counts().strangers.value() == 0);
}

TEST_CASE("links: without a certificate of the authority there is no link", "[peer]") {
  const Files files;
  Node n2("n2");
  Node n1("n1");
  n2.options.tls = files.of("n2");
  n1.options.tls = files.of("n1");
  std::string said_by_n1, said_by_n2;
  SECTION("the caller's is another's") {
    n1.options.tls = files.of("stranger");
    said_by_n2 = "not let in: TLS: certificate verify failed";
    said_by_n1 = "alert unknown ca";
  }
  SECTION("the called's is another's") {
    n2.options.tls = files.of("stranger");
    said_by_n1 = "no link: TLS: certificate verify failed";
    said_by_n2 = "alert unknown ca";
  }
  SECTION("the called has none") {
    n2.options.tls.reset();
    said_by_n1 = "the peer broke off the TLS handshake";
    said_by_n2 = "it speaks TLS, and cluster.tls is not set here";
  }
  SECTION("the caller has none") {
    n1.options.tls.reset();
    said_by_n1 = "no link: ";
    said_by_n2 = "not let in: TLS: ";
  }
  n2.knows("n1").start();
  n1.knows("n2", n2.port).start();
  n1.diary.wait_line(said_by_n1);
  n2.diary.wait_line(said_by_n2);
  CHECK(n1.diary.now(&Diary::ups).empty());
  CHECK(n2.diary.now(&Diary::ups).empty());
}

TEST_CASE("links: a file that does not serve is named at the start", "[peer]") {
  const Files files;
  Node n1("n1");
  n1.options.tls = files.of("n1");
  std::string want;
  SECTION("certificate") {
    n1.options.tls->cert = files.path("missing");
    want = "cluster.tls.cert: " + files.path("missing");
  }
  SECTION("key") {
    n1.options.tls->key = files.path("ca");
    want = "cluster.tls.key: " + files.path("ca");
  }
  SECTION("the key of another certificate") {
    n1.options.tls->key = files.key("n2");
    want = "cluster.tls.key: " + files.key("n2");
  }
  SECTION("authority") {
    n1.options.tls->ca = "";
    want = "cluster.tls.ca: ";
  }
  CHECK_THROWS_WITH(n1.start(), Catch::Contains(want));
}

}  // namespace clickmill::peer
