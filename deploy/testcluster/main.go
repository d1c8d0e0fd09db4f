// Command testcluster is a Kubernetes control plane small enough for a test: etcd and kube-apiserver in
// one process on loopback, with kubectl beside them.
//
//	testcluster serve [--dir DIR] [--collect-garbage] [-- KUBE-APISERVER-FLAG...]
//	testcluster kubectl [KUBECTL-ARGUMENT...]
//
// serve prints one line, `kubeconfig PATH`, when the API server is ready, and serves until its standard
// input closes or it gets SIGTERM or SIGINT; then nothing of it is left. Whoever starts it holds a pipe to
// it, so a test that dies takes its cluster along.
//
// What is here is real and unchanged: storage, authentication, RBAC, validation, defaulting, admission
// webhooks, watch, aggregation. What is absent: controllers, a scheduler, kubelets. A Deployment stays
// without Pods and a deleted Namespace stays Terminating, so a test makes its Pods itself. The garbage
// collector is there where --collect-garbage asks for it.
//
// It must never listen on anything but loopback, nor touch a kubeconfig that it did not write.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

const usage = `usage: testcluster serve [--dir DIR] [--collect-garbage] [-- KUBE-APISERVER-FLAG...]
       testcluster kubectl [KUBECTL-ARGUMENT...]`

func main() {
	switch verb(os.Args) {
	case "serve":
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "testcluster: %v\n", err)
			os.Exit(1)
		}
	case "kubectl":
		kubectl(os.Args[1:])
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

func verb(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

// serve runs one cluster to its end.
func serve(args []string) error {
	settings, err := parse(args)
	if err != nil {
		return err
	}
	if settings.dir == "" {
		if settings.dir, err = os.MkdirTemp("", "testcluster-"); err != nil {
			return err
		}
		defer os.RemoveAll(settings.dir)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// Whatever is written to us is ignored; the end of it is the message.
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return runCluster(ctx, settings, func(kubeconfig string) {
		fmt.Printf("kubeconfig %s\n", kubeconfig)
	})
}

// settings is what the command line says of a cluster.
type settings struct {
	// dir is where everything of it lies; empty for a folder that goes with it.
	dir string
	// collectsGarbage is whether objects go with their owners.
	collectsGarbage bool
	// apiserverFlags are kube-apiserver's own.
	apiserverFlags []string
}

// parse splits our own arguments from those of kube-apiserver, which follow `--`.
func parse(args []string) (settings, error) {
	var settings settings
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			settings.apiserverFlags = args[i+1:]
			return settings, nil
		case args[i] == "--dir" && i+1 < len(args):
			i++
			settings.dir = args[i]
		case args[i] == "--collect-garbage":
			settings.collectsGarbage = true
		default:
			return settings, fmt.Errorf("unexpected argument %q\n%s", args[i], usage)
		}
	}
	return settings, nil
}

// kubectl is the whole of kubectl; args[0] stands where its program name does.
func kubectl(args []string) {
	os.Args = args
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
