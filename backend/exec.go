package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	client "k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"

	"github.com/gatehouse/gatehouse/api"
)

// WantsChannels reports whether the request asks for the streams of a process over a WebSocket in the protocol that [Proxy.Exec]
// translates. Older ones have no way to close standard input and are the kubelet's business.
func WantsChannels(r *http.Request) bool {
	return strings.EqualFold(upgradeOf(r.Header), "websocket") && offers(r, func(p string) bool { return p == remotecommand.StreamProtocolV5Name })
}

func offers(r *http.Request, wanted func(string) bool) bool {
	for _, p := range websocket.Subprotocols(r) {
		if wanted(p) {
			return true
		}
	}
	return false
}

// Exec runs or attaches to a process at the target, a kubelet, for a client that speaks WebSocket: it translates to and from the SPDY that
// kubelets speak. The WebSocket is open before the kubelet is asked, so what goes wrong there is told on its error channel.
func (p *Proxy) Exec(w http.ResponseWriter, r *http.Request, t Target, streams Streams, started func(code int)) error {
	s := p.begin(r.Context(), w, &t, started)
	defer s.end()
	s.upgrade = true
	c, err := s.openChannels(r, streams)
	if err != nil {
		return err
	}
	defer c.close()
	to := &connector{s: s, header: forwarded(r)}
	executor, err := client.NewSPDYExecutorRejectRedirects(to, spdy.NewUpgraderForStreaming(to), http.MethodPost, t.url())
	if err != nil {
		c.tell(internal(err).Status)
		return nil
	}
	err = executor.StreamWithContext(s.ctx, c.options(streams))
	if to.failure != nil {
		err = to.failure
	}
	c.tell(outcome(err))
	return nil
}

// forwarded is the header of a request to a kubelet on behalf of a client's WebSocket.
func forwarded(r *http.Request) http.Header {
	h := http.Header{}
	if agent := r.UserAgent(); agent != "" {
		h.Set("User-Agent", agent)
	}
	return h
}

// outcome is what the client is told about how a process ended.
func outcome(err error) metav1.Status {
	var status *apierrors.StatusError
	var own *api.Error
	var exit exec.CodeExitError
	switch {
	case err == nil:
		return metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &own):
		return own.Status
	case errors.As(err, &status):
		return status.Status()
	case errors.As(err, &exit):
		return metav1.Status{
			Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: %v", exit),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
				{Type: remotecommand.ExitCodeCauseType, Message: fmt.Sprint(exit.ExitStatus())},
			}},
		}
	case errors.Is(err, context.Canceled):
		return internal(errors.New("the connection was closed by this server")).Status
	}
	return internal(err).Status
}

// internal is a 500 that tells its cause, which is a kubelet's.
func internal(err error) *api.Error { return api.ToError(apierrors.NewInternalError(err)) }

// options connects the channels to the library's streams.
func (c *channels) options(streams Streams) client.StreamOptions {
	var o client.StreamOptions
	if streams.Stdin {
		o.Stdin = c.stdin
	}
	if streams.Stdout {
		o.Stdout = channelWriter{c, remotecommand.StreamStdOut}
	}
	if streams.Stderr {
		o.Stderr = channelWriter{c, remotecommand.StreamStdErr}
	}
	if streams.TTY {
		o.Tty, o.TerminalSizeQueue = true, c
	}
	return o
}

var (
	_ client.TerminalSizeQueue = (*channels)(nil)
	_ io.Writer                = channelWriter{}
)
