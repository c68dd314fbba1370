// Everything libtls knows of a connection, typed.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;

hw::task<> show(std::string host, std::string service) {
    auto line = co_await hw::tls::connect(host, service);
    auto peer = line.peer();         // subject, issuer, hash, not_before, not_after, chain_pem, contains_name(...)
    auto info = line.session();      // version, cipher, cipher_strength, alpn, servername, resumed
    auto ocsp = line.ocsp();         // status, response status, revocation time, this/next update, url, result
    co_await line.close();

    auto seconds = [](hw::tls::certificate_time t) { return std::chrono::system_clock::to_time_t(t); };
    std::cout << "subject " << peer.subject << "\nissuer " << peer.issuer << "\nhash " << peer.hash << "\nnot_before " << seconds(peer.not_before)
              << "\nnot_after " << seconds(peer.not_after) << "\nchain " << peer.chain_pem.size() << "\nlocalhost " << peer.contains_name("localhost")
              << "\nexample.org " << peer.contains_name("example.org") << '\n';
    std::cout << "version " << info.version << "\ncipher " << info.cipher << "\nstrength " << info.cipher_strength << "\nalpn '" << info.alpn
              << "'\nservername '" << info.servername << "'\nresumed " << info.resumed << '\n';
    std::cout << "ocsp " << ocsp.present << ' ' << (ocsp.status == hw::tls::ocsp_status::none) << ' '
              << (ocsp.response_status == hw::tls::ocsp_response::none) << ' ' << seconds(ocsp.revocation_time) << ' ' << seconds(ocsp.this_update)
              << ' ' << seconds(ocsp.next_update) << " '" << ocsp.url << "' '" << ocsp.result << "'\n";
}

int main(int, char** argv) { return hw::run_main(show(argv[1], argv[2])); }
