"""What tests of more than one process share: a running mtad, scripted SMTP peers, clients, ledgers."""
