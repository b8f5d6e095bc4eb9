package backend

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

// maxErrorText bounds what a backend says about an error, in bytes.
const maxErrorText = 50_000

// copyBuffer is how much of a log is in memory, in bytes.
const copyBuffer = 32 << 10

// Log sends the text at the target to the client, flushing each part at once if it is being followed. pod names the pod in errors. Errors
// are as those of [Proxy.Forward].
func (p *Proxy) Log(w http.ResponseWriter, r *http.Request, t Target, pod string, follow bool, started func(code int)) error {
	if t.SkipVerify && p.cfg.Verify {
		return api.BadRequest("insecureSkipTLSVerifyBackend: this server connects to no kubelet that it cannot verify")
	}
	s := p.begin(r.Context(), w, &t, started)
	defer s.end()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, t.url().String(), nil)
	if err != nil {
		return api.Internal(err)
	}
	res, err := s.transport().RoundTrip(req)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := checkLog(res, pod, &t); err != nil {
		return err
	}
	out := &answer{s: s, header: http.Header{"Content-Type": {"text/plain"}}}
	out.WriteHeader(http.StatusOK)
	if follow {
		if err := out.FlushError(); err != nil {
			return fmt.Errorf("send a log: %w", err)
		}
	}
	return stream(out, res.Body, follow)
}

// stream copies a log as it comes.
func stream(out *answer, from io.Reader, flush bool) error {
	buffer := make([]byte, copyBuffer)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := out.Write(buffer[:n]); err != nil {
				return fmt.Errorf("send a log: %w", err)
			}
			if flush {
				if err := out.FlushError(); err != nil {
					return fmt.Errorf("send a log: %w", err)
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read a log: %w", err)
		}
	}
}

// checkLog turns an answer that is no log into the error that kube-apiserver makes of it.
func checkLog(res *http.Response, pod string, t *Target) error {
	code := res.StatusCode
	if code >= http.StatusOK && code <= http.StatusPartialContent {
		return nil
	}
	if code >= http.StatusMultipleChoices && code < http.StatusBadRequest {
		return api.Unavailable("error trying to reach %s: it answers with a redirect, which is not followed", t.what())
	}
	said, err := io.ReadAll(io.LimitReader(res.Body, maxErrorText))
	if err != nil {
		return api.Unavailable("error trying to reach %s: its answer broke off", t.what()).Wrap(err)
	}
	text := reason(errors.New(string(said)))
	switch code {
	case http.StatusInternalServerError:
		return apierrors.NewInternalError(errors.New(text))
	case http.StatusBadRequest:
		return api.BadRequest("%s", text)
	}
	return apierrors.NewGenericServerResponse(code, "", schema.GroupResource{Resource: "pods/log"}, pod, text, 0, false)
}
