package usher.elasticsearch;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Base64;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.http.Header;
import org.apache.http.HttpHost;
import org.apache.http.message.BasicHeader;
import org.elasticsearch.client.RestClient;
import org.elasticsearch.client.RestClientBuilder;

/** Makes the low-level REST client, which spreads calls over the hosts and passes over those that are down. */
final class Clients {
    private Clients() {}

    static RestClient create(ElasticsearchSettings settings) {
        RestClientBuilder builder = RestClient.builder(
                settings.hosts().stream().map(HttpHost::create).toArray(HttpHost[]::new));
        if (settings.pathPrefix() != null) {
            builder.setPathPrefix(settings.pathPrefix());
        }
        String authorization = authorization(settings);
        if (authorization != null) {
            builder.setDefaultHeaders(new Header[] {new BasicHeader("Authorization", authorization)});
        }
        builder.setRequestConfigCallback(config -> config
                .setConnectionRequestTimeout((int) settings.poolTimeout().toMillis())
                .setConnectTimeout((int) settings.connectTimeout().toMillis())
                .setSocketTimeout((int) settings.socketTimeout().toMillis()));
        if (settings.certificateAuthority() != null) {
            SSLContext trust = trusting(settings.certificateAuthority());
            builder.setHttpClientConfigCallback(http -> http.setSSLContext(trust));
        }
        return builder.build();
    }

    private static String authorization(ElasticsearchSettings settings) {
        if (settings.apiKey() != null) {
            return "ApiKey " + settings.apiKey();
        }
        if (settings.username() != null) {
            byte[] pair = (settings.username() + ":" + settings.password()).getBytes(StandardCharsets.UTF_8);
            return "Basic " + Base64.getEncoder().encodeToString(pair);
        }
        return null;
    }

    private static SSLContext trusting(String pem) {
        try (InputStream in = Files.newInputStream(Path.of(pem))) {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                store.setCertificateEntry("authority-" + store.size(), certificate);
            }
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
            return context;
        } catch (Exception e) {
            throw new IllegalArgumentException("'ssl.certificate-authority' = '" + pem
                    + "' cannot be read as a PEM file of certificates on this machine.", e);
        }
    }
}
