import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** What a Java program does that was written by the documentation: the default client, and two requests in turn. */
class OffersH2c {
  public static void main(String[] arguments) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (int turn = 0; turn < 2; turn++) {
      for (String path : new String[] {"/open", "/closed", "/ws"}) {
        URI uri = URI.create(arguments[0] + path);
        HttpRequest get = HttpRequest.newBuilder(uri).header("Authorization", arguments[1]).build();
        HttpRequest post =
            HttpRequest.newBuilder(uri).POST(BodyPublishers.ofString("x".repeat(100_000))).build();
        for (HttpRequest request : new HttpRequest[] {get, post}) {
          var response = client.send(request, BodyHandlers.ofString());
          String body = response.body();
          System.out.println(
              request.method() + " " + path + " " + response.version() + " " + response.statusCode() + " "
                  + (response.statusCode() == 200 ? body : ""));
        }
      }
    }
  }
}
