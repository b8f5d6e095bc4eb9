package resource

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/backend"
)

// nodeTakesWebSockets is the feature that a node declares whose kubelet understands the WebSockets of clients.
const nodeTakesWebSockets = "ExtendWebSocketsToKubelet"

// process finds the kubelet for a log, a process or ports of a pod.
func (c *connecting) process() (Connection, error) {
	pod, err := named[*corev1.Pod](c, "pods", c.info.Name)
	if err != nil {
		return Connection{}, err
	}
	at := "/" + pod.Namespace + "/" + pod.Name
	if c.info.Subresource != "portforward" {
		container, err := containerOf(pod, askedContainer(c.options))
		if err != nil {
			return Connection{}, err
		}
		at += "/" + container
	}
	connection := Connection{Pod: pod.Name}
	if pod.Spec.NodeName == "" {
		if c.info.Subresource != "log" {
			return Connection{}, api.BadRequest("pod %s does not have a host assigned", pod.Name)
		}
		connection.Nowhere = true
		return connection, nil
	}
	target, node, err := c.kubelet(pod.Spec.NodeName)
	if err != nil {
		return Connection{}, err
	}
	target.Path = map[string]string{"log": "/containerLogs", "exec": "/exec", "attach": "/attach", "portforward": "/portForward"}[c.info.Subresource] + at
	connection.Target, connection.TakesWebSockets = target, slices.Contains(node.Status.DeclaredFeatures, nodeTakesWebSockets)
	connection.ask(c.options)
	return connection, nil
}

// ask puts the options into the query of the request to the kubelet.
func (c *Connection) ask(options runtime.Object) {
	query := url.Values{}
	switch o := options.(type) {
	case *corev1.PodLogOptions:
		query, c.Follow, c.Target.SkipVerify = logQuery(o), o.Follow, o.InsecureSkipTLSVerifyBackend
	case *corev1.PodExecOptions:
		c.Streams = backend.Streams{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, TTY: o.TTY}
		query = streamQuery(c.Streams)
		query["command"] = o.Command
	case *corev1.PodAttachOptions:
		c.Streams = backend.Streams{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, TTY: o.TTY}
		query = streamQuery(c.Streams)
	case *corev1.PodPortForwardOptions:
		if len(o.Ports) > 0 {
			ports := make([]string, len(o.Ports))
			for i, port := range o.Ports {
				ports[i] = strconv.Itoa(int(port))
			}
			query.Set(corev1.PortHeader, strings.Join(ports, ","))
		}
	}
	c.Target.RawQuery = query.Encode()
}

func askedContainer(options runtime.Object) string {
	switch o := options.(type) {
	case *corev1.PodLogOptions:
		return o.Container
	case *corev1.PodExecOptions:
		return o.Container
	case *corev1.PodAttachOptions:
		return o.Container
	}
	return ""
}

// containerOf is the container that is meant: the one that is asked for, or the only one of the pod.
func containerOf(pod *corev1.Pod, asked string) (string, error) {
	var names []string
	for i := range pod.Spec.InitContainers {
		names = append(names, pod.Spec.InitContainers[i].Name)
	}
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Name)
	}
	for i := range pod.Spec.EphemeralContainers {
		names = append(names, pod.Spec.EphemeralContainers[i].Name)
	}
	switch {
	case asked != "" && !slices.Contains(names, asked):
		return "", api.BadRequest("container %s is not valid for pod %s", asked, pod.Name)
	case asked != "":
		return asked, nil
	case len(pod.Spec.Containers) == 0:
		return "", api.BadRequest("a container name must be specified for pod %s", pod.Name)
	case len(pod.Spec.Containers) > 1:
		return "", api.BadRequest("a container name must be specified for pod %s, choose one of: %s", pod.Name, names)
	}
	return pod.Spec.Containers[0].Name, nil
}

func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	for name, set := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if set {
			q.Set(name, "true")
		}
	}
	for name, n := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if n != nil {
			q.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	return q
}

// streamQuery asks a kubelet for streams by the names that it has for them.
func streamQuery(s backend.Streams) url.Values {
	q := url.Values{}
	for name, set := range map[string]bool{
		corev1.ExecStdinParam: s.Stdin, corev1.ExecStdoutParam: s.Stdout, corev1.ExecStderrParam: s.Stderr, corev1.ExecTTYParam: s.TTY,
	} {
		if set {
			q.Set(name, "1")
		}
	}
	return q
}

// kubelet finds the kubelet of a node.
func (c *connecting) kubelet(name string) (backend.Target, *corev1.Node, error) {
	node, err := named[*corev1.Node](c, "nodes", name)
	if err != nil {
		return backend.Target{}, nil, err
	}
	host, err := c.s.nodeAddress(node)
	if err != nil {
		return backend.Target{}, nil, err
	}
	port := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	if port <= 0 {
		port = defaultKubeletPort
	}
	return backend.Target{
		What: fmt.Sprintf("the kubelet of node %q", name), Kubelet: true, Scheme: "https", Host: host, Port: strconv.Itoa(int(port)),
	}, node, nil
}

// defaultKubeletPort is where kubelets listen whose node does not say.
const defaultKubeletPort = 10250

// DefaultKubeletAddressTypes are those of kube-apiserver's --kubelet-preferred-address-types.
func DefaultKubeletAddressTypes() []string {
	return []string{
		string(corev1.NodeHostName), string(corev1.NodeInternalDNS), string(corev1.NodeInternalIP),
		string(corev1.NodeExternalDNS), string(corev1.NodeExternalIP),
	}
}

// nodeAddress picks the address of a node by the preferred types.
func (s *Service) nodeAddress(node *corev1.Node) (string, error) {
	for _, kind := range s.KubeletAddressTypes {
		for _, a := range node.Status.Addresses {
			if string(a.Type) == kind {
				return a.Address, checkHost(a.Address)
			}
		}
	}
	return "", plainError(fmt.Sprintf("no preferred addresses found; known addresses: %v", node.Status.Addresses))
}
