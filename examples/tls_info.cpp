// tls_info: connects to a TLS server and prints what libtls knows of it.

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>

#include <chrono>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "support.hpp"

namespace hw = hawser;

namespace {

struct options {
    std::string host, port = "443", connect_to, server_name;
    std::string ca_file, ca_path, cert_file, key_file, alpn, protocols;
    double timeout = 10;
    bool insecure = false, prints_chain = false;
};

void print(std::string_view name, std::string_view value) {
    // What a peer may have put there must not reach the terminal as a control sequence.
    std::string clean{value.empty() ? std::string_view{"-"} : value};
    for (char& c : clean) if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
    std::cout << std::left << std::setw(16) << name << clean << '\n';
}

std::string text_of(hw::tls::certificate_time when) {
    if (when == hw::tls::certificate_time{}) return {};
    const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    char text[64];
    return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc));
}

std::string days_left(hw::tls::certificate_time until) {
    const auto left = std::chrono::duration_cast<std::chrono::hours>(until - std::chrono::system_clock::now()) / 24;
    return left.count() < 0 ? " (expired)" : " (" + std::to_string(left.count()) + " days left)";
}

std::size_t certificates_in(std::string_view pem) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = pem.find("-----BEGIN CERTIFICATE", at)) != pem.npos; ++at) ++count;
    return count;
}

std::string text_of(hw::tls::ocsp_response status) {
    switch (status) {
        case hw::tls::ocsp_response::successful: return "successful";
        case hw::tls::ocsp_response::malformed: return "malformed request";
        case hw::tls::ocsp_response::internal_error: return "internal error";
        case hw::tls::ocsp_response::try_later: return "try later";
        case hw::tls::ocsp_response::signature_required: return "signature required";
        case hw::tls::ocsp_response::unauthorized: return "unauthorized";
        default: return {};
    }
}

std::string text_of(hw::tls::ocsp_status status) {
    switch (status) {
        case hw::tls::ocsp_status::good: return "good";
        case hw::tls::ocsp_status::revoked: return "revoked";
        case hw::tls::ocsp_status::unknown: return "unknown";
        default: return {};
    }
}

void print_connection(const hw::tls::stream& line) {
    const hw::tls::session_info session = line.session();
    print("peer", line.peer_name());
    print("from", line.local_endpoint().to_string());
    print("protocol", session.version);
    print("cipher", session.cipher + " (" + std::to_string(session.cipher_strength) + " bits)");
    print("ALPN", session.alpn);
    print("resumed", session.resumed ? "yes" : "no");
}

void print_certificate(const hw::tls::peer_info& peer, const options& of) {
    const std::string& name = of.server_name.empty() ? of.host : of.server_name;
    std::cout << "\ncertificate\n";
    print("  subject", peer.subject);
    print("  issuer", peer.issuer);
    print("  valid from", text_of(peer.not_before));
    print("  valid until", text_of(peer.not_after) + days_left(peer.not_after));
    print("  fingerprint", peer.hash);
    print("  chain", std::to_string(certificates_in(peer.chain_pem)) + " certificate(s) sent");
    print("  name", name + (peer.contains_name(name) ? " is one of its names" : " is NOT one of its names"));
    print("  verified", of.insecure ? "NO (--insecure)" : "yes");
}

void print_ocsp(const hw::tls::ocsp_info& ocsp) {
    std::cout << "\nOCSP\n";
    print("  stapled", ocsp.present ? "yes" : "no");
    if (!ocsp.url.empty()) print("  responder", ocsp.url);
    if (!ocsp.present) return;
    print("  response", text_of(ocsp.response_status));
    print("  status", text_of(ocsp.status));
    print("  result", ocsp.result);
    if (ocsp.status == hw::tls::ocsp_status::revoked) print("  revoked", text_of(ocsp.revocation_time));
    print("  this update", text_of(ocsp.this_update));
    print("  next update", text_of(ocsp.next_update));
}

hw::task<> run(const options& of) {
    const hw::tls::config trust{hw::tls::client_options{
        .ca_file = of.ca_file, .ca_path = of.ca_path, .cert_file = of.cert_file, .key_file = of.key_file, .alpn = of.alpn,
        .protocols = of.protocols, .insecure_no_verify_certificate = of.insecure, .insecure_no_verify_name = of.insecure,
        .insecure_no_verify_time = of.insecure}};

    hw::tls::connect_options how;
    how.server_name = of.server_name;
    how.handshake_timeout = how.tcp.connect_timeout = hw::to_duration(std::chrono::duration<double>{of.timeout});
    if (!of.connect_to.empty()) {
        // The name stays what is verified, wherever the host is said to be.
        const auto addresses = co_await hw::resolve(of.connect_to, of.port);
        how.tcp.address = addresses.front();
    }
    hw::tls::stream line = co_await hw::tls::connect(of.host, of.port, trust, how);

    print_connection(line);
    const hw::tls::peer_info peer = line.peer();
    print_certificate(peer, of);
    print_ocsp(line.ocsp());
    if (of.prints_chain) std::cout << '\n' << peer.chain_pem;

    const auto closed = co_await hw::as_result(line.close());
    if (!closed) std::cerr << "tls_info: " << closed.error().message() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    options of;
    CLI::App app{"Connects to a TLS server and prints what is known of it: protocol, cipher, certificate, OCSP.\n"
                 "Exit status 1 with the reason if the connection fails, or the certificate is not to be trusted."};
    app.add_option("HOST", of.host, "Name or address; the certificate must be for it")->required();
    app.add_option("PORT", of.port, "Port or service")->capture_default_str();
    app.add_option("--connect", of.connect_to, "Connect to this address or host instead; HOST is still what is verified")->type_name("ADDRESS");
    app.add_option("--servername", of.server_name, "Name to verify and to ask for by SNI, if it is not HOST")->type_name("NAME");
    CLI::Option* insecure = app.add_flag("--insecure", of.insecure, "Accept any certificate, to look at it: nobody knows who sent it");
    app.add_option("--cacert", of.ca_file, "Certificate authorities to trust (PEM) instead of the system's")->type_name("FILE")->excludes(insecure);
    app.add_option("--capath", of.ca_path, "A directory of them, prepared by openssl rehash")->type_name("DIR")->excludes(insecure);
    CLI::Option* cert = app.add_option("--cert", of.cert_file, "A certificate of one's own to show (PEM)")->type_name("FILE");
    CLI::Option* key = app.add_option("--key", of.key_file, "Its key (PEM)")->type_name("FILE")->needs(cert);
    cert->needs(key);
    app.add_option("--alpn", of.alpn, "Protocols to offer, such as h2,http/1.1")->type_name("LIST");
    CLI::Option* tls12 = app.add_flag_callback("--tls12", [&] { of.protocols = "tlsv1.2"; }, "Only TLS 1.2");
    app.add_flag_callback("--tls13", [&] { of.protocols = "tlsv1.3"; }, "Only TLS 1.3")->excludes(tls12);
    app.add_option("--timeout", of.timeout, "Seconds for connecting, and for the handshake")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_flag("--chain", of.prints_chain, "Print the certificates as well (PEM)");
    CLI11_PARSE(app, argc, argv);
    return hw::run_main(with_task_dumps(run(of)));
}
