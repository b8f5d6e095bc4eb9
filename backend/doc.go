// Package backend connects clients, through this server, to kubelets, pods and services: logs, exec, attach, port-forward and proxy.
//
// A caller says where to in a [Target], which it has made of objects that it was allowed to read; whether the client may connect at all has been decided before.
// This package promises about the connection itself:
//
//   - It goes to an address that was checked, not to a name that is looked up once more. Link-local, multicast, unspecified and
//     metadata addresses, this server and its replicas are never connected to, loopback only where that is allowed.
//   - No redirect is followed. No proxy of the environment is used. No connection is used for two requests.
//   - The server's certificate is shown to kubelets only, and credentials of the client go nowhere.
//   - The time to connect, the time to the first answer to an upgrade, the size of the answer's head and the time without a byte are
//     bounded. When the client leaves, the backend fails or the context ends, both ends are closed before the call returns.
package backend
