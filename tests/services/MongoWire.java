// A server with MongoDB's wire protocol that keeps everything in memory:
// java -cp 'lib/*' MongoWire.java PORT

import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

public class MongoWire {
    public static void main(String[] arguments) {
        MemoryBackend backend = new MemoryBackend();
        // Its own highest wire version, 8, is below what pymongo accepts.
        backend.version(new MongoVersion() {
            public List<Integer> getVersionArray() {
                return List.of(5, 0, 0);
            }

            public int getWireVersion() {
                return 13;
            }
        });
        new MongoServer(backend).bind("127.0.0.1", Integer.parseInt(arguments[0]));
    }
}
