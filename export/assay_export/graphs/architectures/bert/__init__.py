"""The BERT family: BERT, RoBERTa, XLM-RoBERTa, CamemBERT, DistilBERT and ELECTRA."""
